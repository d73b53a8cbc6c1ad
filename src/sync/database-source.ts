import { type Context } from '../context.ts'
import { type User } from '../http/endpoint.ts'
import { membershipIn } from '../protocol/history-visibility.ts'
import { type Reader } from '../storage/database.ts'
import { eventsByNumber } from '../storage/events.ts'
import { type StoredEvent } from '../storage/log-entries.ts'
import { membershipsOf, type MembershipRow } from '../storage/memberships.ts'
import { previousState } from '../storage/room-heads.ts'
import { changedReceipts } from '../storage/sync-receipts.ts'
import { changedAccountData, ownMemberChanges, touchedAmong } from '../storage/sync-rooms.ts'
import { membersAt, stateChangesWithin } from '../storage/sync-state.ts'
import { newestEvents } from '../storage/sync-timelines.ts'
import { beginning, type OwnChange, type Source, type Stay } from './source.ts'

/**
 * Reads from the database, through a repeatable-read transaction whose moment is the position `to`.
 * @param after the start of the span; `null` for an initial sync
 * @param withLeft whether an initial sync tells of rooms that were left
 */
export function databaseSource(
  ctx: Context,
  reader: Reader,
  caller: User,
  after: number | null,
  to: number,
  withLeft: boolean,
): Source {
  const { numbers } = ctx
  return {
    to,
    reader,
    entries: null,
    stays: others => staysOf(ctx, reader, caller, after, to, withLeft, others),
    accountData: () => changedAccountData(reader, caller.userNumber, { after: after ?? 0, upTo: to }),
    newestEvents: (spans, limit) => newestEvents(reader, numbers, spans, limit),
    stateChanges: spans => stateChangesWithin(reader, numbers, spans),
    receipts: spans => changedReceipts(reader, spans, caller.userNumber),
    related: events => relatedOf(ctx, reader, events),
  }
}

/** What `unsigned` of the events tells of others, from the database. */
export async function relatedOf(
  ctx: Context,
  reader: Reader,
  events: readonly StoredEvent[],
): Promise<{ redactions: Map<number, StoredEvent>; replaced: Map<number, StoredEvent> }> {
  const redacted = events.flatMap(({ redactedBy }) => redactedBy ?? [])
  const states = events.filter(({ event }) => event.stateKey !== null)
  const redactions = await eventsByNumber(reader, ctx.numbers, redacted)
  return {
    redactions: new Map(redactions.map(event => [event.eventNumber, event])),
    replaced: await previousState(ctx.db, ctx.numbers, states),
  }
}

async function staysOf(
  ctx: Context,
  reader: Reader,
  { userId, userNumber }: User,
  after: number | null,
  to: number,
  withLeft: boolean,
  others: ReadonlySet<number> | 'all',
): Promise<Stay[]> {
  const isLeft = (row: MembershipRow) => row.membership === 'leave' || row.membership === 'ban'
  const rows = (await membershipsOf(reader, userNumber)).filter(row => !row.isForgotten && row.position <= to)
  if (after === null) {
    const left = withLeft ? rows.filter(isLeft) : []
    const changes = await changesByRoom(ctx, reader, userId, left, { after: beginning, upTo: to })
    return [...rows.filter(row => !isLeft(row)), ...left].map(row => ({
      roomId: row.roomId,
      roomNumber: row.roomNumber,
      membership: row.membership,
      position: row.position,
      before: 'leave',
      changes: changes.get(row.roomNumber) ?? [],
    }))
  }
  const moved = rows.filter(row => row.position > after)
  const settled = rows.filter(row => row.position <= after && row.membership === 'join')
  const [changes, before, touched] = [
    await changesByRoom(ctx, reader, userId, moved, { after, upTo: to }),
    await membersAt(reader, ctx.numbers, moved.map(row => ({ roomNumber: row.roomNumber, userId, position: after }))),
    others === 'all' ? null : await touchedAmong(reader, settled.map(row => row.roomNumber), { after, upTo: to }),
  ] // prettier-ignore
  const memberBefore = new Map(before.map(event => [event.roomNumber, membershipIn(event.event.content)]))
  const stays: Stay[] = []
  const isTold = ({ roomNumber }: MembershipRow) =>
    others === 'all' || touched === null || touched.has(roomNumber) || others.has(roomNumber)
  for (const row of [...moved, ...settled.filter(isTold)]) {
    const isMoved = row.position > after
    stays.push({
      roomId: row.roomId,
      roomNumber: row.roomNumber,
      membership: row.membership,
      position: row.position,
      before: isMoved ? (memberBefore.get(row.roomNumber) ?? 'leave') : row.membership,
      changes: changes.get(row.roomNumber) ?? [],
    })
  }
  return stays
}

async function changesByRoom(
  ctx: Context,
  reader: Reader,
  userId: string,
  rooms: readonly MembershipRow[],
  span: { readonly after: number; readonly upTo: number },
): Promise<Map<number, OwnChange[]>> {
  const found = new Map<number, OwnChange[]>()
  const roomNumbers = rooms.map(row => row.roomNumber)
  for (const { roomNumber, position, event } of await ownMemberChanges(
    reader,
    ctx.numbers,
    roomNumbers,
    userId,
    span,
  )) {
    const change = { position, membership: membershipIn(event.event.content), event }
    const ofRoom = found.get(roomNumber)
    if (ofRoom) ofRoom.push(change)
    else found.set(roomNumber, [change])
  }
  return found
}
