import { type Context } from '../context.ts'
import { type User } from '../http/endpoint.ts'
import { membershipIn } from '../protocol/history-visibility.ts'
import { type RoomId } from '../protocol/identifiers.ts'
import { prunedEvent } from '../rooms/append.ts'
import { eventsByNumber } from '../storage/events.ts'
import { eventFlags, type StateChange, type StoredEvent } from '../storage/log-entries.ts'
import { previousState } from '../storage/room-heads.ts'
import { bulkReader } from '../storage/sync-reader.ts'
import { changedReceipts, type ReceiptRow } from '../storage/sync-receipts.ts'
import { type PlacedStateChange, stateChangesWithin } from '../storage/sync-state.ts'
import { newestEvents } from '../storage/sync-timelines.ts'
import { type KnownUser } from './known-users.ts'
import { type Live } from './live.ts'
import { type OwnChange, type Source, type Stay } from './source.ts'
import { type Placed, type Tail } from './tail.ts'

/** The pruned form of events that were redacted after they entered the ring. */
const prunedForms = new WeakMap<StoredEvent, StoredEvent>()

/**
 * Reads from the tail what happened after a position that it covers. What the tail cannot know (what stood before) comes
 * from the database, bounded by `to`.
 */
export function tailSource(ctx: Context, { tail }: Live, user: KnownUser, caller: User, after: number): Source {
  const to = tail.head
  const reader = ctx.db.kysely
  const bulk = bulkReader(ctx.db)
  const { numbers } = ctx
  const roomIdOf = async (roomNumber: number): Promise<RoomId | null> =>
    (await numbers.rooms([roomNumber])).get(roomNumber)?.roomId ?? null
  return {
    to,
    reader,
    bulk,
    entries: [...tail.entriesAfter(after)],
    stays: others => Promise.resolve(staysOf(tail, user, caller, after, to, others)),
    async accountData() {
      const items = new Map<string, { roomNumber: number; type: string; content: string }>()
      for (const entry of tail.newsOf(caller.userId, after, to)) {
        if (entry.kind !== 'account_data') continue
        const room = entry.roomId === null ? null : await numbers.room(entry.roomId)
        const roomNumber = room?.roomNumber ?? 0
        if (entry.roomId !== null && !room) continue
        const key = `${roomNumber} ${entry.type}`
        // Of several the last stands, in its own place.
        items.delete(key)
        items.set(key, { roomNumber, type: entry.type, content: entry.content })
      }
      return [...items.values()]
    },
    async newestEvents(spans, limit) {
      const older: (typeof spans)[number][] = []
      const covered: { readonly span: (typeof spans)[number]; readonly roomId: RoomId }[] = []
      for (const span of spans) {
        const roomId = await roomIdOf(span.roomNumber)
        // What was deleted in a room since is still in the ring.
        if (roomId !== null && tail.coversRoom(roomId, span.after)) covered.push({ span, roomId })
        else older.push(span)
      }
      const found = await newestEvents(bulk, numbers, older, limit)
      for (const { span, roomId } of covered) {
        const entries = tail.eventsOf(roomId, span.after, Math.min(span.upTo, to)).slice(-limit).reverse()
        found.set(span.roomNumber, await Promise.all(entries.map(entry => current(ctx, tail, entry.stored))))
      }
      return found
    },
    async stateChanges(spans) {
      const older = spans.filter(span => !tail.covers(span.after))
      const found = await stateChangesWithin(bulk, numbers, older)
      for (const span of spans) {
        if (!tail.covers(span.after)) continue
        const roomId = await roomIdOf(span.roomNumber)
        if (roomId === null) continue
        const changes: PlacedStateChange[] = []
        for (const entry of tail.eventsOf(roomId, span.after, Math.min(span.upTo, to)))
          for (const change of entry.stateChanges) changes.push({ ...(await currentChange(ctx, tail, change)), position: entry.position }) // prettier-ignore
        found.set(span.roomNumber, changes)
      }
      return found
    },
    async receipts(spans) {
      const older = spans.filter(span => !tail.covers(span.after))
      const found = await changedReceipts(bulk, older, caller.userNumber)
      for (const span of spans) {
        if (!tail.covers(span.after)) continue
        const roomId = await roomIdOf(span.roomNumber)
        if (roomId === null) continue
        found.push(...(await receiptRows(ctx, span.roomNumber, caller, tail.receiptsOf(roomId, span.after, Math.min(span.upTo, to))))) // prettier-ignore
      }
      return found
    },
    async related(events) {
      const redactions = new Map<number, StoredEvent>()
      const replaced = new Map<number, StoredEvent>()
      const unknownRedactions: number[] = []
      const unknownStates: StoredEvent[] = []
      for (const stored of events) {
        const by = tail.prunedBy(stored.eventNumber)
        if (by) redactions.set(by.eventNumber, by)
        else if (stored.redactedBy !== null) unknownRedactions.push(stored.redactedBy)
        if (stored.event.stateKey === null || stored.position === null) continue
        const [entry] = tail.eventsOf(stored.event.roomId, stored.position - 1, stored.position)
        if (!entry) {
          unknownStates.push(stored)
          continue
        }
        const change = entry.stateChanges.find(each => each.event?.eventNumber === stored.eventNumber)
        if (change?.replaced) replaced.set(stored.eventNumber, await current(ctx, tail, change.replaced))
      }
      for (const event of await eventsByNumber(reader, numbers, unknownRedactions)) redactions.set(event.eventNumber, event) // prettier-ignore
      for (const [number, event] of await previousState(ctx.db, numbers, unknownStates)) replaced.set(number, event)
      return { redactions, replaced }
    },
  }
}

/** An event of the ring as it is by now: pruned if it has been redacted since. */
async function current(ctx: Context, tail: Tail, stored: StoredEvent): Promise<StoredEvent> {
  if ((stored.flags & eventFlags.redacted) !== 0) return stored
  const by = tail.prunedBy(stored.eventNumber)
  if (!by) return stored
  const known = prunedForms.get(stored)
  if (known) return known
  const facts = (await ctx.numbers.rooms([stored.roomNumber])).get(stored.roomNumber)
  const event = facts && prunedEvent(stored.event, facts.version)
  // An event that cannot be pruned is shown to nobody.
  const flags = stored.flags | (event ? eventFlags.redacted : eventFlags.rejected)
  const pruned = { ...stored, event: event ?? stored.event, flags, redactedBy: by.eventNumber }
  prunedForms.set(stored, pruned)
  return pruned
}

async function currentChange(ctx: Context, tail: Tail, change: StateChange): Promise<StateChange> {
  const { event, replaced } = change
  return {
    type: change.type,
    stateKey: change.stateKey,
    event: event && (await current(ctx, tail, event)),
    replaced: replaced && (await current(ctx, tail, replaced)),
  }
}

function staysOf(
  tail: Tail,
  user: KnownUser,
  caller: User,
  after: number,
  to: number,
  others: ReadonlySet<number> | 'all',
): Stay[] {
  const moved = new Map<RoomId, { roomNumber: number; before: Stay['before']; changes: OwnChange[] }>()
  for (const entry of tail.newsOf(caller.userId, after, to)) {
    if (entry.kind !== 'event') continue
    for (const { type, stateKey, event, replaced } of entry.stateChanges) {
      if (type !== 'm.room.member' || stateKey !== caller.userId) continue
      let room = moved.get(entry.roomId)
      if (!room) {
        const before = membershipIn(replaced?.event.content)
        moved.set(entry.roomId, (room = { roomNumber: entry.stored.roomNumber, before, changes: [] }))
      }
      const membership = membershipIn(event?.event.content)
      room.changes.push({ position: entry.position, membership, event })
    }
  }
  const stays: Stay[] = []
  for (const [roomId, { roomNumber, before, changes }] of moved) {
    const last = changes.at(-1)
    if (last) stays.push({ roomId, roomNumber, before, changes, membership: last.membership, position: last.position })
  }
  const consider = (roomId: RoomId) => {
    const room = user.rooms.get(roomId)
    if (!room || room.membership !== 'join' || moved.has(roomId)) return
    const { roomNumber, position } = room
    stays.push({ roomId, roomNumber, membership: 'join', position, before: 'join', changes: [] })
  }
  // Few entries or few rooms: look through the fewer.
  if (others !== 'all' && others.size === 0 && to - after < user.rooms.size) {
    const touched = new Set<RoomId>()
    for (const entry of tail.entriesAfter(after))
      if (entry.kind === 'event' || entry.kind === 'receipt') touched.add(entry.roomId)
    for (const roomId of touched) consider(roomId)
  } else {
    for (const { roomId, roomNumber } of user.rooms.values())
      if (others === 'all' || others.has(roomNumber) || (tail.lastOf(roomId) ?? 0) > after) consider(roomId)
  }
  return stays
}

async function receiptRows(
  ctx: Context,
  roomNumber: number,
  caller: User,
  entries: readonly Placed<'receipt'>[],
): Promise<ReceiptRow[]> {
  const shown = entries.filter(entry => entry.receiptType === 'm.read' || entry.userId === caller.userId)
  const numbers = await ctx.numbers.users(shown.map(entry => entry.userId))
  const rows = new Map<string, ReceiptRow>()
  for (const { userId, receiptType, threadId, eventId, readTs } of shown) {
    const userNumber = numbers.get(userId)
    if (userNumber === undefined) continue
    const key = `${userNumber} ${receiptType} ${threadId}`
    rows.delete(key)
    rows.set(key, { roomNumber, userNumber, receiptType, threadId, eventId, readTs })
  }
  return [...rows.values()]
}
