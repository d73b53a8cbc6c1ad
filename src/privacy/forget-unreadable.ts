import { type Context } from '../context.ts'
import { describeError } from '../log.ts'
import { deleteMedia } from '../media/delete.ts'
import { forgetFound } from '../retention/sweep-events.ts'
import { whileAlone } from '../storage/advisory-lock.ts'
import { transaction } from '../storage/database.ts'
import { mediaFilesAfter } from '../storage/media.ts'
import { clearSetBack, isSetBack, messagesAfter, unerasedAccountsAfter } from '../storage/set-back.ts'
import { deactivate } from './deactivate.ts'
import { eraseAccount } from './erase.ts'
import { eraseAll } from './eraser.ts'
import { type SealPlace } from './keyring/keyring.ts'
import { placeOf } from './seal.ts'

/** How much one step looks at. */
const batchSize = 500

/** What had to go from a database that was set back. */
export interface Forgotten {
  /** Accounts that were erased. */
  readonly erased: number
  /** Those that were closed without being erased. */
  readonly closed: number
  readonly messages: number
  readonly media: number
  /** Messages and files of which nobody can say, since the keyring knows nothing of the generation of their keys. They are left as they are. */
  readonly unknown: number
}

/**
 * Deletes from a database that was set back to an older copy what its keyring cannot open: it was erased, redacted or deleted
 * after the copy was made, and is to be gone again, whatever the copy says. `null` where there is nothing of the kind to do.
 * What is sealed under keys from before a rotation, or from after the keyring was copied, was not forgotten but is out of reach:
 * it stays, and so does the note that the database was set back. May be stopped or killed at any point, and begins anew then;
 * whatever is left meanwhile cannot be read. Throws `DatabaseError`, `KeyringError`.
 */
export async function forgetUnreadable(ctx: Context, signal: AbortSignal): Promise<Forgotten | null> {
  if (!(await isSetBack(ctx.db.kysely))) return null
  // Another process may have destroyed keys, or made new ones.
  await ctx.keyring.refresh()
  const { erased, closed } = await forgetAccounts(ctx, signal)
  const messages = await forgetMessages(ctx, signal)
  const media = await forgetMedia(ctx, signal)
  const unknown = messages.unknown + media.unknown
  if (!signal.aborted && unknown === 0) await transaction(ctx.db, clearSetBack)
  return { erased, closed, messages: messages.gone, media: media.gone, unknown }
}

/** How often a process looks whether the database was set back under it (a failover that lost commits). */
const lookIntervalMs = 60_000
/** And how often after it has found what it could not judge. */
const unknownIntervalMs = 3_600_000

/** Forgets anew, while the server runs, what a copy of the database has brought back. */
export const reforgetter = {
  name: 'reforgetter',
  start(ctx: Context): () => Promise<void> {
    const stopping = new AbortController()
    const running = forgetOnAndOn(ctx, stopping.signal)
    return async () => {
      stopping.abort()
      await running
    }
  },
}

async function forgetOnAndOn(ctx: Context, signal: AbortSignal): Promise<void> {
  const component = 'reforgetter'
  while (!signal.aborted) {
    let intervalMs = lookIntervalMs
    try {
      const forgotten = await whileAlone(ctx.db, 'set_back', () => forgetUnreadable(ctx, signal))
      if (forgotten) ctx.logger.warn('The database was set back: what had been forgotten is forgotten again', { component, count: forgotten.erased + forgotten.closed + forgotten.messages + forgotten.media }) // prettier-ignore
      if (forgotten && forgotten.unknown > 0) {
        ctx.logger.warn('The database was set back, and holds what is sealed under keys that the keyring knows nothing of: it is left as it is', { component, count: forgotten.unknown }) // prettier-ignore
        intervalMs = unknownIntervalMs
      }
    } catch (error) {
      ctx.logger.warn('Forgetting again did not come to its end', { component, ...describeError(error) })
    }
    // It rejects for no other reason than that it is to stop.
    await ctx.clock.sleep(intervalMs, signal).catch(() => undefined)
  }
}

/**
 * What a copy brings back of accounts is closed or erased again. Closing destroys the account's key, erasing its marker as well:
 * so an account that was erased before there were markers, and that no migration knew of, is only closed here; what it wrote goes
 * with the messages whose keys are gone.
 */
async function forgetAccounts(ctx: Context, signal: AbortSignal): Promise<Pick<Forgotten, 'erased' | 'closed'>> {
  const { sealer } = ctx.numbers
  const isGone = (place: SealPlace) => sealer.keyAt(place) === null
  let [erased, closed] = [0, 0]
  for (let after = 0; !signal.aborted;) {
    const page = await unerasedAccountsAfter(ctx.db.kysely, after, batchSize)
    for (const account of page) {
      after = account.userNumber
      if (isGone(sealer.erasurePlace(account.userNumber))) {
        await eraseAccount(ctx, account)
        erased++
      } else if (!account.isDeactivated && isGone(sealer.accountPlace(account.userNumber))) {
        await deactivate(ctx, account, false)
        closed++
      }
    }
    if (page.length < batchSize) break
  }
  if (erased > 0) await eraseAll(ctx, signal)
  return { erased, closed }
}

interface Judged {
  /** Forgotten again. */
  readonly gone: number
  readonly unknown: number
}

async function forgetMessages(ctx: Context, signal: AbortSignal): Promise<Judged> {
  let [gone, unknown] = [0, 0]
  for (let after: number | null = 0; after !== null && !signal.aborted;) {
    const from: number = after
    let unknownHere = 0
    gone += await forgetFound(ctx, async tx => {
      const page = await messagesAfter(tx, from, batchSize)
      after = page.length < batchSize ? null : (page.at(-1)?.eventNumber ?? null)
      unknownHere = page.filter(({ seal }) => judge(ctx, seal) === 'unknown').length
      return page.filter(({ seal }) => judge(ctx, seal) === 'gone')
    })
    unknown += unknownHere
  }
  return { gone, unknown }
}

async function forgetMedia(ctx: Context, signal: AbortSignal): Promise<Judged> {
  let [gone, unknown] = [0, 0]
  for (let after = ''; !signal.aborted;) {
    const page = await mediaFilesAfter(ctx.db.kysely, after, batchSize)
    for (const { mediaId, fileName } of page) {
      after = mediaId
      const seal = await ctx.mediaStore.sealOf(fileName)
      // A file that is not there may yet be put back.
      const verdict = seal && judge(ctx, seal)
      if (verdict === 'unknown') unknown++
      else if (verdict === 'gone' && (await deleteMedia(ctx, mediaId))) gone++
    }
    if (page.length < batchSize) break
  }
  return { gone, unknown }
}

/** What is not sealed is readable too. Of the keys of another generation than the keyring's it cannot be said whether they were destroyed. */
function judge({ keyring, numbers }: Context, seal: Buffer): 'readable' | 'gone' | 'unknown' {
  const place = placeOf(seal)
  if (place === null) return 'readable'
  const { generation, before } = keyring.keys
  if (place.generation !== generation && place.generation !== before?.generation) return 'unknown'
  return numbers.sealer.keyAt(place) === null ? 'gone' : 'readable'
}
