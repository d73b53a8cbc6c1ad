import { type Context } from '../context.ts'
import { type RoomId } from '../protocol/identifiers.ts'
import { isExpired, isStale } from '../protocol/retention.ts'
import { roomHead } from '../rooms/head.ts'
import { lifetimeIn } from '../rooms/visibility.ts'
import { eventFlags } from '../storage/log-entries.ts'
import { type RowText } from '../storage/own-rows.ts'
import { currentAmong } from '../storage/sweep.ts'

const numberOrNull = (value: string | null | undefined): number | null =>
  value === null || value === undefined ? null : Number(value)

/**
 * Rows of a table, opened, as their owner may read them by now: a message that has come to its end says nothing any more, and
 * old state no more than a redaction would leave of it, whether or not the sweeper has been there. That the row still stands
 * is told, since it does. The rows must have all columns of the table.
 */
export async function livingRows(ctx: Context, table: string, rows: readonly RowText[]): Promise<readonly RowText[]> {
  if (table !== 'events' || rows.length === 0) return rows
  const rooms = await ctx.numbers.rooms(rows.map(row => Number(row['room_number'])))
  const current = await currentAmong(
    ctx.db.kysely,
    rows.map(row => Number(row['event_number'])),
  )
  return Promise.all(rows.map(row => livingEvent(ctx, row, rooms.get(Number(row['room_number']))?.roomId ?? null, current))) // prettier-ignore
}

async function livingEvent(
  ctx: Context,
  row: RowText,
  roomId: RoomId | null,
  current: ReadonlySet<number>,
): Promise<RowText> {
  const head = roomId === null ? null : await roomHead(ctx, roomId)
  // Of a room that is just being deleted nobody knows how long it lived.
  if (!head) return { ...row, body: null, pruned: null }
  const policy = lifetimeIn(ctx, head)
  const nowTs = ctx.clock.now()
  // Only whether there is a state key matters.
  const event = { stateKey: numberOrNull(row['state_key_number']) === null ? null : '' }
  const mortal = { event, ageTs: Number(row['age_ts']), selfDestructTs: numberOrNull(row['self_destruct_ts']) }
  if (isExpired(mortal, policy, nowTs)) return { ...row, body: null, pruned: null }
  const isPruned = (Number(row['flags']) & eventFlags.redacted) !== 0
  const isOld = !isPruned && isStale(mortal, policy, nowTs) && !current.has(Number(row['event_number']))
  return isOld ? { ...row, body: row['pruned'] ?? null, pruned: null } : row
}
