import { type Random } from '../../random.ts'
import { pathNumberOf, type PathRange } from './key-tree.ts'
import {
  accountBucket, erasureBucket, isOfAccount, type Keyring, KeyringError, rotated, type SealPlace, withoutKeys,
} from './keyring.ts' // prettier-ignore
import { PathSet } from './path-set.ts'

/** What a database still refers to. */
export interface Living {
  /** Where the keys stand of all that is sealed in it, and of its files; in any order, repeated or not. */
  readonly places: AsyncIterable<SealPlace>
  /** The numbers of the accounts that are closed, whether erased or not. */
  readonly closed: readonly number[]
  /** The numbers of those that are erased, or are being erased. */
  readonly erased: readonly number[]
}

/**
 * An older copy of a keyring, without what may have been destroyed since it was made: only those keys stay whose values the
 * database still holds, and those of accounts that are in use. What comes is sealed under new keys, of another generation, so that
 * none of the others is missed. Changes the tree. Throws `KeyringError` for a copy that is of no use.
 */
export async function keptAlive(copy: Keyring, { places, closed, erased }: Living, random: Random): Promise<Keyring> {
  if (copy.before) throw new KeyringError('It was copied in the midst of a rotation, and is older than the database: it cannot be taken on.') // prettier-ignore
  const living = new PathSet()
  let [count, own] = [0, 0]
  for await (const place of places) {
    count++
    if (place.generation > copy.generation) throw new KeyringError('It is from before a rotation of the keys, ended or not, and the database holds what was sealed since: it cannot be taken on.') // prettier-ignore
    if (place.generation < copy.generation) continue
    own++
    if (!isOfAccount(place)) living.add(pathNumberOf(place))
  }
  if (count > 0 && own === 0)
    throw new KeyringError(
      'It opens nothing of what the database holds, all of which is from before a rotation of the keys.',
    )
  // Of accounts the database says which keys are gone; those of all others stay, of accounts that are yet to come too.
  for (const bucket of [accountBucket, erasureBucket]) living.addRange(wholeBucket(bucket))
  copy.tree.keepOnly(living.ranges())
  const { generation } = copy
  const gone = [
    ...closed.map(leaf => ({ generation, bucket: accountBucket, leaf })),
    ...erased.map(leaf => ({ generation, bucket: erasureBucket, leaf })),
  ]
  return rotated(withoutKeys(copy, { places: gone, throughBucket: null }), random)
}

function wholeBucket(bucket: number): PathRange {
  return { from: pathNumberOf({ bucket, leaf: 0 }), through: pathNumberOf({ bucket: bucket + 1, leaf: 0 }) - 1n }
}
