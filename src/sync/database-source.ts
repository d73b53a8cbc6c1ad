import { type Context } from '../context.ts'
import { type User } from '../http/endpoint.ts'
import { membershipIn, type Membership } from '../protocol/history-visibility.ts'
import { type Reader } from '../storage/database.ts'
import { eventsByNumber } from '../storage/events.ts'
import { type StoredEvent } from '../storage/log-entries.ts'
import { membershipsOf, type MembershipRow } from '../storage/memberships.ts'
import { previousState } from '../storage/room-heads.ts'
import { bulkReader } from '../storage/sync-reader.ts'
import { changedReceipts } from '../storage/sync-receipts.ts'
import { changedAccountData, ownMemberChanges, touchedAmong } from '../storage/sync-rooms.ts'
import { membersAt, stateChangesWithin } from '../storage/sync-state.ts'
import { newestEvents } from '../storage/sync-timelines.ts'
import { beginning, type OwnChange, type Source, type Stay } from './source.ts'

/**
 * Reads from the database what happened up to `to`, which must not be ahead of this process.
 * @param after the start of the span; `null` for an initial sync
 * @param withLeft whether an initial sync tells of rooms that were left
 */
export function databaseSource(
  ctx: Context,
  caller: User,
  after: number | null,
  to: number,
  withLeft: boolean,
): Source {
  const { numbers } = ctx
  const reader = ctx.db.kysely
  const bulk = bulkReader(ctx.db)
  return {
    to,
    reader,
    bulk,
    entries: null,
    stays: others => staysOf(ctx, caller, after, to, withLeft, others),
    accountData: () =>
      changedAccountData(reader, ctx.numbers.sealer, caller.userNumber, { after: after ?? 0, upTo: to }),
    newestEvents: (spans, limit) => newestEvents(bulk, numbers, spans, limit),
    stateChanges: spans => stateChangesWithin(bulk, numbers, spans),
    receipts: spans => changedReceipts(bulk, spans, caller.userNumber),
    related: events => relatedOf(ctx, reader, events),
  }
}

/** What `unsigned` of the events tells of others, from the database. */
async function relatedOf(
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
  { userId, userNumber }: User,
  after: number | null,
  to: number,
  withLeft: boolean,
  others: ReadonlySet<number> | 'all',
): Promise<Stay[]> {
  const reader = ctx.db.kysely
  const rows = (await membershipsOf(reader, userNumber)).filter(row => !row.isForgotten)
  const standing = await standingAt(ctx, userId, rows, to)
  if (after === null) {
    const left = withLeft ? standing.filter(isLeft) : []
    const changes = await changesByRoom(ctx, userId, left, { after: beginning, upTo: to })
    return [...standing.filter(row => !isLeft(row)), ...left].map(row => ({
      ...row,
      before: 'leave',
      changes: changes.get(row.roomNumber) ?? [],
    }))
  }
  const moved = standing.filter(row => row.position > after)
  const settled = standing.filter(row => row.position <= after && row.membership === 'join')
  const span = { after, upTo: to }
  const [changes, before, touched] = await Promise.all([
    changesByRoom(ctx, userId, moved, span),
    membershipsAt(ctx, userId, moved, after),
    others === 'all' ? null : touchedAmong(reader, settled.map(row => row.roomNumber), span),
  ]) // prettier-ignore
  const stays: Stay[] = []
  for (const row of moved) {
    const own = changes.get(row.roomNumber) ?? []
    const isNews = own.length > 0 || row.membership === 'join'
    if (isNews) stays.push({ ...row, before: before.get(row.roomNumber) ?? 'leave', changes: own })
  }
  for (const row of settled) {
    const isTold = touched === null || touched.has(row.roomNumber) || (others !== 'all' && others.has(row.roomNumber))
    if (isTold) stays.push({ ...row, before: row.membership, changes: [] })
  }
  return stays
}

/** How a user stands in a room. */
type Standing = Pick<Stay, 'roomId' | 'roomNumber' | 'membership' | 'position'>

const isLeft = ({ membership }: Standing) => membership === 'leave' || membership === 'ban'

/** The rows as they were at a position: what has changed since is looked up in the rooms' histories. */
async function standingAt(
  ctx: Context,
  userId: string,
  rows: readonly MembershipRow[],
  position: number,
): Promise<Standing[]> {
  const then = await membershipsAt(ctx, userId, rows.filter(row => row.position > position), position) // prettier-ignore
  return rows.flatMap((row): Standing[] => {
    const { roomId, roomNumber } = row
    if (row.position <= position) return [{ roomId, roomNumber, membership: row.membership, position: row.position }]
    const membership = then.get(roomNumber)
    // Since when is not known, so no more is taken for granted than that it was so at that position.
    return membership === undefined ? [] : [{ roomId, roomNumber, membership, position }]
  })
}

async function membershipsAt(
  ctx: Context,
  userId: string,
  rooms: readonly { readonly roomNumber: number }[],
  position: number,
): Promise<Map<number, Membership>> {
  const wanted = rooms.map(({ roomNumber }) => ({ roomNumber, userId, position }))
  const events = await membersAt(ctx.db.kysely, ctx.numbers, wanted)
  return new Map(events.map(({ roomNumber, event }) => [roomNumber, membershipIn(event.content)]))
}

async function changesByRoom(
  ctx: Context,
  userId: string,
  rooms: readonly Standing[],
  span: { readonly after: number; readonly upTo: number },
): Promise<Map<number, OwnChange[]>> {
  const found = new Map<number, OwnChange[]>()
  const roomNumbers = rooms.map(row => row.roomNumber)
  const own = await ownMemberChanges(ctx.db.kysely, ctx.numbers, roomNumbers, userId, span)
  for (const { roomNumber, position, event } of own) {
    const change = { position, membership: membershipIn(event?.event.content), event }
    const ofRoom = found.get(roomNumber)
    if (ofRoom) ofRoom.push(change)
    else found.set(roomNumber, [change])
  }
  return found
}
