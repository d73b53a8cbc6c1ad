import { type Context } from '../context.ts'
import { type UserId } from '../protocol/identifiers.ts'
import { membershipIn } from '../protocol/history-visibility.ts'
import {
  changedListsSharedWith, memberChangesAfter, membersPresentIn, roomsJoinedAmong, usersSharingRoom,
} from '../storage/device-lists.ts' // prettier-ignore
import { eventsByNumber } from '../storage/events.ts'
import { usersSignedBy } from '../storage/key-signatures.ts'
import { type LogEntry, type StateChange } from '../storage/log-entries.ts'

/** What a client that tracks devices must be told. https://spec.matrix.org/v1.19/client-server-api/#e2e-extensions-to-sync */
export interface DeviceListChanges {
  /** Ask for the keys of these again: they changed, or a room is shared with these users only now. */
  readonly changed: readonly UserId[]
  /** No room is shared with these any more. */
  readonly left: readonly UserId[]
}

const nothing: DeviceListChanges = { changed: [], left: [] }

/** How somebody stood in a room at the start of a span, and how they stand at its end. */
interface Transition {
  readonly roomNumber: number
  readonly userNumber: number
  readonly before: string
  readonly now: string
}

/**
 * What changed for a user after one position of the log, up to and including another. The end is a lower bound: what
 * happened after it may be told already, which costs the client a question and nothing else; it is told again when its turn
 * comes. Rooms count whether they are encrypted or not, for they may become so.
 */
export async function deviceListChanges(
  ctx: Context,
  userId: UserId,
  afterPosition: number,
  upToPosition: number,
): Promise<DeviceListChanges> {
  if (upToPosition <= afterPosition) return nothing
  const userNumber = await ctx.numbers.user(userId)
  const reader = ctx.db.kysely
  const [changed, transitions] = await Promise.all([
    changedListsSharedWith(reader, userNumber, afterPosition),
    transitionsAfter(ctx, userNumber, afterPosition),
  ])
  return settle(ctx, userNumber, changed, transitions)
}

/**
 * The same from entries of the log, which must be all of the span. Asks the database nothing when none of them is about
 * devices or members, which is so for nearly all.
 */
export async function deviceListChangesIn(
  ctx: Context,
  userId: UserId,
  entries: readonly LogEntry[],
): Promise<DeviceListChanges> {
  const listed = new Set<UserId>()
  const changes: { roomNumber: number; change: StateChange }[] = []
  for (const entry of entries) {
    if (entry.kind === 'device_list') listed.add(entry.userId)
    if (entry.kind !== 'event') continue
    for (const change of entry.stateChanges) {
      if (change.type === 'm.room.member') changes.push({ roomNumber: entry.stored.roomNumber, change })
    }
  }
  if (listed.size === 0 && changes.length === 0) return nothing
  const userNumber = await ctx.numbers.user(userId)
  const [numbers, transitions] = await Promise.all([ctx.numbers.users(listed), transitionsOf(ctx, changes)])
  const others = [...numbers.values()].filter(number => number !== userNumber)
  const sharing = await usersSharingRoom(ctx.db.kysely, userNumber, others)
  return settle(ctx, userNumber, [...sharing, ...(listed.has(userId) ? [userNumber] : [])], transitions)
}

const absent = 'leave'

/** The transitions of members in the rooms that concern a user, read from the database. */
async function transitionsAfter(ctx: Context, userNumber: number, after: number): Promise<Transition[]> {
  const memberType = await ctx.numbers.type('m.room.member')
  const changes = await memberChangesAfter(ctx.db.kysely, userNumber, after, memberType)
  const beforeNumbers = changes.flatMap(change => change.beforeNumber ?? [])
  const events = await eventsByNumber(ctx.db.kysely, ctx.numbers, beforeNumbers)
  const memberships = new Map(events.map(({ eventNumber, event }) => [eventNumber, membershipIn(event.content)]))
  return changes.map(({ roomNumber, userNumber: number, beforeNumber, membership }) => ({
    roomNumber,
    userNumber: number,
    before: (beforeNumber === null ? undefined : memberships.get(beforeNumber)) ?? absent,
    now: membership,
  }))
}

/** The transitions that changes of rooms' states, in order, add up to. */
async function transitionsOf(
  ctx: Context,
  changes: readonly { readonly roomNumber: number; readonly change: StateChange }[],
): Promise<Transition[]> {
  const spans = new Map<string, { roomNumber: number; userId: UserId; before: string; now: string }>()
  for (const { roomNumber, change } of changes) {
    const name = `${roomNumber} ${change.stateKey}`
    const now = change.event ? membershipIn(change.event.event.content) : absent
    const span = spans.get(name)
    if (span) span.now = now
    else {
      const before = change.replaced ? membershipIn(change.replaced.event.content) : absent
      // The state key of a member event is a user ID: the rules refuse any other.
      spans.set(name, { roomNumber, userId: change.stateKey as UserId, before, now })
    }
  }
  const moved = [...spans.values()].filter(({ before, now }) => before !== now)
  const numbers = await ctx.numbers.users(moved.map(({ userId }) => userId))
  return moved.flatMap(({ roomNumber, userId, before, now }) => {
    const userNumber = numbers.get(userId)
    return userNumber === undefined ? [] : [{ roomNumber, userNumber, before, now }]
  })
}

const isPresent = (membership: string) => membership === 'join' || membership === 'invite'

/** `listed` are those whose keys changed and who share a room with the user, perhaps the user too. */
async function settle(
  ctx: Context,
  userNumber: number,
  listed: readonly number[],
  transitions: readonly Transition[],
): Promise<DeviceListChanges> {
  const moved = transitions.filter(({ before, now }) => before !== now)
  if (listed.length === 0 && moved.length === 0) return nothing
  const reader = ctx.db.kysely
  const own = new Map(moved.filter(each => each.userNumber === userNumber).map(each => [each.roomNumber, each]))
  const others = moved.filter(each => each.userNumber !== userNumber)
  const joined = await roomsJoinedAmong(reader, userNumber, [...new Set(others.map(each => each.roomNumber))])
  const entered = [...own.values()].filter(each => each.now === 'join').map(each => each.roomNumber)
  const abandoned = [...own.values()].filter(each => each.before === 'join').map(each => each.roomNumber)

  const changed = new Set(listed)
  const gone = new Set<number>()
  for (const { roomNumber, userNumber: other, before, now } of others) {
    const wasIn = own.has(roomNumber) ? own.get(roomNumber)?.before === 'join' : joined.has(roomNumber)
    if (joined.has(roomNumber) && isPresent(now)) changed.add(other)
    if (wasIn && before === 'join' && now !== 'join') gone.add(other)
  }
  for (const member of await membersPresentIn(reader, entered)) changed.add(member.userNumber)
  const movedIn = new Set(others.filter(each => each.before !== 'join').map(each => `${each.roomNumber} ${each.userNumber}`)) // prettier-ignore
  for (const { roomNumber, userNumber: other, membership } of await membersPresentIn(reader, abandoned)) {
    if (membership === 'join' && !movedIn.has(`${roomNumber} ${other}`)) gone.add(other)
  }
  // A change of one's own may be that of having verified somebody, on another device.
  if (listed.includes(userNumber)) for (const other of await usersSignedBy(reader, userNumber)) changed.add(other)
  if (!listed.includes(userNumber)) changed.delete(userNumber)
  gone.delete(userNumber)
  const sharing = await usersSharingRoom(reader, userNumber, [...gone])
  const left = [...gone].filter(other => !sharing.has(other) && !changed.has(other))
  const names = await ctx.numbers.userIds([...changed, ...left])
  const named = (numbers: Iterable<number>) => [...numbers].flatMap(number => names.get(number) ?? [])
  return { changed: named(changed), left: named(left) }
}
