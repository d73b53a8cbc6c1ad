import { type Random } from '../../random.ts'
import { pathNumberOf, type PathRange } from './key-tree.ts'
import { accountBucket, type Keyring, KeyringError, rotated, type SealPlace } from './keyring.ts'

/** What a database still refers to. */
export interface Living {
  /** Where the keys stand of all that is sealed in it, and of its files; in any order, repeated or not. */
  readonly places: readonly SealPlace[]
  /** The numbers of the accounts that are not erased. */
  readonly accounts: readonly number[]
}

/**
 * An older copy of a keyring, without what may have been destroyed since it was made: only those keys stay whose values the
 * database still holds. What comes is sealed under new keys, of another generation, so that none of the others is missed.
 * Changes the tree. Throws `KeyringError` for a copy that is of no use.
 */
export function keptAlive(copy: Keyring, { places, accounts }: Living, random: Random): Keyring {
  if (copy.before) throw new KeyringError('It was copied in the midst of a rotation, and is older than the database: it cannot be taken on.') // prettier-ignore
  const own = places.filter(({ generation }) => generation === copy.generation)
  if (places.length > 0 && own.length === 0) throw new KeyringError('It is from before a rotation of the keys, and opens nothing of what the database holds.') // prettier-ignore
  const living = own.filter(({ bucket }) => bucket !== accountBucket)
  const paths = [...living, ...accounts.map(leaf => ({ bucket: accountBucket, leaf }))].map(pathNumberOf)
  copy.tree.keepOnly(rangesOf(paths))
  return rotated(copy, random)
}

/** Paths in order, those that follow each other as one range. */
function rangesOf(paths: readonly bigint[]): PathRange[] {
  const found: { from: bigint; through: bigint }[] = []
  for (const path of [...paths].sort((one, other) => (one < other ? -1 : one > other ? 1 : 0))) {
    const last = found.at(-1)
    if (last && path <= last.through + 1n) last.through = path
    else found.push({ from: path, through: path })
  }
  return found
}
