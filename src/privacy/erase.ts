import { type AccountOwner } from '../accounts/account.ts'
import { today } from '../accounts/dates.ts'
import { newToken, readToken } from '../accounts/tokens.ts'
import { type Context } from '../context.ts'
import { notFound } from '../errors.ts'
import { transaction, type Tx } from '../storage/database.ts'
import { deleteReceipt, type Erasure, erasureByReceipt, insertErasure, type RowCounts } from '../storage/erasures.ts' // prettier-ignore
import { noteDeadSeals } from '../storage/keyring-row.ts'
import { deleteOwnRows } from '../storage/own-rows.ts'
import { deactivate, tablesToDeleteFrom } from './deactivate.ts'
import { wakeEraser } from './eraser.ts'
import { inventory, type TableEntry } from './inventory.ts'
import { receiptLifetimeMs } from './lifetimes.ts'
import { sealOf } from './seal.ts'

/** Tables that the work in the background goes through: they are large, or have files, or rooms depend on them. */
export const erasedLater: ReadonlySet<string> = new Set([
  'transactions', 'event_relations', 'receipts', 'media', 'media_thumbnails', 'device_list_changes',
]) // prettier-ignore

/**
 * Erases an account for good: it is deactivated and its own things are deleted before this returns; what it sent is gone
 * from its rooms soon after, whatever happens to the process meanwhile. Returns the token that the receipt is fetched with,
 * once; `null` if the account is being erased, or was, already. `useUp` runs first, in the same transaction.
 */
export async function eraseAccount(
  ctx: Context,
  owner: AccountOwner,
  useUp: (tx: Tx) => Promise<void> = () => Promise.resolve(),
): Promise<string | null> {
  const { token, hash } = newToken(ctx.random, 'erasure')
  const { sealer } = ctx.numbers
  let isNew = false
  await deactivate(ctx, owner, true, async tx => {
    await useUp(tx)
    const deleted: Record<string, number> = {}
    const isErasedAtOnce = (table: string, { erasure }: TableEntry) => erasure === 'deleted' && !erasedLater.has(table)
    for (const table of await tablesToDeleteFrom(tx, isErasedAtOnce)) {
      const count = await deleteOwnRows(tx, inventory, table, owner, Number.MAX_SAFE_INTEGER)
      if (count > 0) deleted[table] = count
    }
    // From a database that is set back it could not be told that more was asked for than closing the account.
    if (sealer.isOn) await noteDeadSeals(tx, [sealOf(sealer.erasurePlace(owner.userNumber))])
    isNew = await insertErasure(tx, owner.userNumber, {
      receiptHash: hash,
      askedOn: today(ctx.clock),
      counts: { deleted, pruned: {}, kept: {} },
      expiresTs: ctx.clock.now() + receiptLifetimeMs,
    })
  })
  wakeEraser(ctx)
  return isNew ? token : null
}

/** A table of a receipt: how many rows, and why they are kept. */
export interface KeptRows {
  readonly table: string
  readonly count: number
  readonly why: string
}

/** What erasing an account came to. */
export interface Receipt {
  readonly userId: string
  /** YYYY-MM-DD. */
  readonly askedOn: string
  /** `null` while the work is under way: then the counts are those of what is done. */
  readonly finishedOn: string | null
  readonly deleted: RowCounts
  readonly pruned: RowCounts
  readonly kept: readonly KeptRows[]
}

/** The receipt of a token, finished or not. Throws `notFound` for one that is unknown, was handed over, or has expired. */
export async function findReceipt(ctx: Context, token: string): Promise<Receipt> {
  const hash = readToken(token, 'erasure')
  const erasure = hash && (await erasureByReceipt(ctx.db.kysely, hash, ctx.clock.now()))
  if (!erasure) throw notFound('There is no such receipt')
  return receiptOf(erasure)
}

/** Hands over a finished receipt and forgets it. Throws `notFound` like `findReceipt`, and while the work is under way. */
export async function takeReceipt(ctx: Context, token: string): Promise<Receipt> {
  const receipt = await findReceipt(ctx, token)
  const hash = readToken(token, 'erasure')
  if (!hash || !(await transaction(ctx.db, tx => deleteReceipt(tx, hash)))) throw notFound('There is no such receipt')
  return receipt
}

function receiptOf({ userId, askedOn, finishedOn, counts }: Erasure): Receipt {
  const kept = Object.entries(counts.kept).map(([table, count]) => ({ table, count, why: reasonFor(table) }))
  return { userId, askedOn, finishedOn, deleted: counts.deleted, pruned: counts.pruned, kept }
}

/** What a table is for, in a sentence. */
export function purposeOf(table: string): string {
  return entryOf(table)?.purpose ?? ''
}

/** Why rows of a table are kept, in a sentence. */
function reasonFor(table: string): string {
  if (table === 'events') {
    return 'That you were in rooms, without your name or picture, and the settings of rooms that you made and that are in force: rooms are built on them.' // prettier-ignore
  }
  const erasure = entryOf(table)?.erasure
  return typeof erasure === 'object' ? erasure.kept : ''
}

function entryOf(table: string): TableEntry | undefined {
  return Object.entries(inventory).find(([name]) => name === table)?.[1]
}
