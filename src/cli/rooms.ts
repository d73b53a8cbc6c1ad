import { deletedSoFar, deletionStatus, deletionUnderWay, orderDeletion } from '../admin/delete-room.ts'
import { backgroundJobs } from '../admin/job-loop.ts'
import { listRooms, roomDetails } from '../admin/rooms.ts'
import { type Context } from '../context.ts'
import { notFound } from '../errors.ts'
import { lifetimeSentence, roomLifetime, spanWords } from '../privacy/room-lifetime.ts'
import { parseRoomId, type RoomId } from '../protocol/identifiers.ts'
import { clearRetentionOverride, listRetentionOverrides, setRetentionOverride } from '../retention/overrides.ts'
import { roomHead } from '../rooms/head.ts'
import { countEvents } from '../storage/admin-rooms.ts'
import { type CommonOptions, exits, type Outcome, UsageError } from './command.ts'
import { watched } from './watched.ts'

function namedRoom(text: string): RoomId {
  const roomId = parseRoomId(text)
  if (roomId === null) throw new UsageError(`"${text}" is not a room ID`)
  return roomId
}

const pageSize = 1_000

/** Every room. */
export async function listAllRooms(ctx: Context): Promise<Outcome> {
  const wanted = { searchTerm: null, isPublic: null, isEmpty: null }
  const found = []
  for (let from = 0; ; from += pageSize) {
    const { rooms } = await listRooms(ctx, wanted, { order: 'name', direction: 'f', from, limit: pageSize })
    found.push(...rooms)
    if (rooms.length < pageSize) break
  }
  return {
    json: { rooms: found },
    lines: found.map(room => `${room.room_id}  ${room.joined_members} joined  ${room.name ?? ''}`.trimEnd()),
  }
}

/** One room, without its content. */
export async function showRoom(ctx: Context, name: string): Promise<Outcome> {
  const room = await roomDetails(ctx, namedRoom(name))
  return { json: room, lines: Object.entries(room).map(([key, value]) => `${key}: ${JSON.stringify(value)}`) }
}

/**
 * Removes everybody of this server from a room and deletes it, or goes on watching where that was begun before. Whoever holds
 * the lock works at it, this process or a server that runs beside it, and what is begun is finished by whichever comes next.
 */
export async function purgeRoom(
  ctx: Context,
  name: string,
  options: CommonOptions & { readonly yes?: boolean; readonly block?: boolean },
): Promise<Outcome> {
  const roomId = namedRoom(name)
  if (options.yes !== true) throw new UsageError(`This cannot be undone: say --yes to delete ${roomId}`)
  const jobId = (await deletionUnderWay(ctx, roomId)) ?? (await orderDeletion(ctx, { userNumber: null }, roomId, {
    isBlocked: options.block === true,
    isPurged: true,
    isForced: false,
    newRoomUserId: null,
    newRoomName: '',
    message: '',
  })) // prettier-ignore
  const room = await ctx.numbers.room(roomId)
  const alreadyDone = await deletedSoFar(ctx, jobId)
  const total = alreadyDone + (room ? await countEvents(ctx.db.kysely, room.roomNumber) : 0)
  const end = backgroundJobs.start(ctx)
  try {
    const status = await watched(ctx, options, {
      what: 'Deleting',
      total,
      unit: 'events',
      done: () => deletedSoFar(ctx, jobId),
      result: async () => {
        const now = await deletionStatus(ctx, jobId)
        return now['status'] === 'failed' || now['status'] === 'complete' ? now : null
      },
    })
    if (status['status'] === 'failed') return { json: status, lines: [String(status['error'])], exit: exits.failed }
    return { json: status, lines: [`${roomId} is deleted.`] }
  } finally {
    await end()
  }
}

const lifetimeUnits: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

function lifetimeOf(text: string): number | null {
  if (text === 'forever') return null
  const match = /^(\d{1,9})(s|m|h|d)$/.exec(text)
  const value = Number(match?.[1] ?? 0) * (lifetimeUnits[match?.[2] ?? ''] ?? 0)
  if (value < 1) throw new UsageError(`"${text}" is not a lifetime: say such as 12h, 30d or forever`)
  return value
}

/** Shows how long messages of a room live and who says so; says it, or lets the room say so itself again (`clear`). */
export async function retentionOfRoom(ctx: Context, name: string, text: string | undefined): Promise<Outcome> {
  if (text === 'clear') await clearRetention(ctx, name)
  else if (text !== undefined) await setRetention(ctx, name, text)
  const roomId = namedRoom(name)
  const head = await roomHead(ctx, roomId)
  if (!head) throw notFound('There is no such room')
  const lifetime = roomLifetime(ctx, head)
  return {
    json: { room_id: roomId, max_lifetime: lifetime.maxLifetimeMs, set_by: lifetime.setBy },
    lines: [lifetimeSentence(lifetime)],
  }
}

/** Says how long messages of a room live, over what the room says. */
export async function setRetention(ctx: Context, name: string, text: string): Promise<Outcome> {
  const roomId = namedRoom(name)
  const maxLifetime = lifetimeOf(text)
  await setRetentionOverride(ctx, roomId, { maxLifetime, minLifetime: null })
  return { json: { room_id: roomId, max_lifetime: maxLifetime }, lines: [`Messages of ${roomId} live ${text}.`] }
}

/** Lets a room say so itself again. */
export async function clearRetention(ctx: Context, name: string): Promise<Outcome> {
  const roomId = namedRoom(name)
  const cleared = await clearRetentionOverride(ctx, roomId)
  return { json: { room_id: roomId, cleared }, lines: [`${roomId} says itself how long its messages live.`] }
}

/** The rooms for which the operator said how long messages live. */
export async function listRetention(ctx: Context): Promise<Outcome> {
  const found = []
  for (let after = 0; ;) {
    const page = await listRetentionOverrides(ctx, after, pageSize)
    found.push(...page)
    const last = page.at(-1)
    if (!last || page.length < pageSize) break
    after = last.roomNumber
  }
  return {
    json: { rooms: found.map(each => ({ room_id: each.roomId, max_lifetime: each.lifetime.maxLifetime })) },
    lines: found.map(({ roomId, lifetime: { maxLifetime } }) => `${roomId}  ${maxLifetime === null ? 'forever' : spanWords(maxLifetime)}`), // prettier-ignore
  }
}
