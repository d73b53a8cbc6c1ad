import { type Context, isLocal } from '../context.ts'
import { invalidParam, MatrixError, notFound } from '../errors.ts'
import {
  type EventId,
  parseEventId,
  parseRoomId,
  parseUserId,
  type RoomId,
  type UserId,
} from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject } from '../protocol/json.ts'
import { append } from '../rooms/append.ts'
import { jobOf } from '../storage/background-jobs.ts'
import { eventsById } from '../storage/events.ts'
import { eventFlags } from '../storage/log-entries.ts'
import { joinedRooms } from '../storage/memberships.ts'
import { messagesOfSender } from '../storage/purge.ts'
import { type JobKind, orderJob } from './jobs.ts'

const kind = 'redact_user'
const eventsAtOnce = 50
/** Messages of each room, the newest, unless the request says otherwise. */
export const defaultRedactions = 1_000
/** Failures that the answer names. */
const failureLimit = 10_000

/**
 * Orders that what a user sent be redacted, in some rooms or in all that they are in, in their own name or in the
 * administrator's. Returns the job's ID. Throws `notFound` for a user whom this server does not know.
 */
export async function orderRedaction(
  ctx: Context,
  caller: { readonly userId: UserId; readonly userNumber: number },
  userId: UserId,
  redaction: {
    /** Empty: all that the user is in. */
    readonly rooms: readonly RoomId[]
    readonly reason: string | null
    readonly limit: number
    /** Milliseconds since the epoch: only what was sent then or later; then or earlier. `null`: whenever. */
    readonly sinceTs: number | null
    readonly untilTs: number | null
    readonly asAdmin: boolean
  },
): Promise<string> {
  const userNumber = await ctx.numbers.knownUser(userId)
  if (userNumber === null) throw notFound('User not found')
  const joined = redaction.rooms.length > 0 ? [] : await joinedRooms(ctx.db.kysely, userNumber)
  const rooms = redaction.rooms.length > 0 ? redaction.rooms : joined.map(({ roomId }) => roomId)
  const { reason, limit, sinceTs, untilTs } = redaction
  const sender = redaction.asAdmin || !isLocal(ctx, userId) ? caller.userId : userId
  const request = { rooms: [...rooms], reason, limit, sinceTs, untilTs, sender }
  return orderJob(ctx, { kind, userNumber: caller.userNumber, target: userId, request })
}

/** How a redaction stands. Throws `notFound`. */
export async function redactionStatus(ctx: Context, jobId: string): Promise<JsonObject> {
  const job = await jobOf(ctx.db.kysely, ctx.numbers.sealer, jobId, [kind])
  if (!job) throw notFound(`redact id '${jobId}' not found`)
  const { status, progress, failure } = job
  return {
    status,
    failed_redactions: progress['failed'] ?? {},
    ...(failure === null ? {} : { error: failure }),
  }
}

interface Progress {
  /** Index of the room that is being worked at. */
  readonly room: number
  /** Messages of it that have been dealt with, and the position of the last of them. */
  readonly count: number
  readonly before: number
  readonly redacted: number
  readonly failed: JsonObject
  /** Messages that are being redacted: one that is redacted already was so by this job, before its process died. */
  readonly pending: string[]
}

function progressOf(progress: JsonObject): Progress {
  const number = (key: string, otherwise: number) => (typeof progress[key] === 'number' ? progress[key] : otherwise)
  const { failed, pending } = progress
  return {
    room: number('room', 0),
    count: number('count', 0),
    before: number('before', Number.MAX_SAFE_INTEGER),
    redacted: number('redacted', 0),
    failed: isJsonObject(failed) ? failed : {},
    pending: Array.isArray(pending) ? pending.map(String) : [],
  }
}

function timeOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null
}

/** The work itself: some messages of one room at a step, the newest first. */
export const redactUserJob: JobKind = {
  async step(ctx, { target, request, progress }) {
    const at = progressOf(progress)
    const rooms = Array.isArray(request['rooms']) ? request['rooms'].map(String) : []
    const roomId = parseRoomId(rooms[at.room] ?? '')
    const [user, sender] = [parseUserId(target), parseUserId(String(request['sender']))]
    if (user === null || sender === null) throw invalidParam('That is not a user ID')
    if (rooms[at.room] === undefined) return { progress, isDone: true }
    const room = roomId === null ? null : await ctx.numbers.room(roomId)
    if (room && at.pending.length > 0) {
      return {
        progress: { ...at, pending: [], ...(await redactPending(ctx, room.roomId, sender, at, request['reason'])) },
        isDone: false,
      }
    }
    const nextRoom = { ...at, room: at.room + 1, count: 0, before: Number.MAX_SAFE_INTEGER, pending: [] }
    const limit = Number(request['limit']) - at.count
    if (!room || limit <= 0) return { progress: { ...nextRoom }, isDone: false }
    const senderNumber = await ctx.numbers.user(user)
    const sent = { sinceTs: timeOf(request['sinceTs']), untilTs: timeOf(request['untilTs']) }
    const messages = await messagesOfSender(ctx.db.kysely, room.roomNumber, senderNumber, at.before, Math.min(limit, eventsAtOnce), sent) // prettier-ignore
    const last = messages.at(-1)
    if (!last) return { progress: { ...nextRoom }, isDone: false }
    const count = at.count + messages.length
    const pending = messages.map(({ eventId }) => eventId)
    return { progress: { ...at, count, before: last.position, pending }, isDone: false }
  },
}

/** Redacts what is pending, but for what is redacted already; counts both. */
async function redactPending(
  ctx: Context,
  roomId: RoomId,
  sender: UserId,
  at: Progress,
  reason: unknown,
): Promise<Pick<Progress, 'redacted' | 'failed'>> {
  const failed = { ...at.failed }
  let redacted = at.redacted
  const ids = at.pending.flatMap(text => parseEventId(text) ?? [])
  for (const { event, flags } of await eventsById(ctx.db.kysely, ctx.numbers, ids)) {
    const isDone = (flags & eventFlags.redacted) !== 0
    const failure = isDone ? null : await redactOne(ctx, roomId, sender, event.eventId, reason)
    if (failure === null) redacted += 1
    else if (Object.keys(failed).length < failureLimit) failed[event.eventId] = failure
  }
  return { redacted, failed }
}

/** Why an event could not be redacted; `null` if it was. */
async function redactOne(
  ctx: Context,
  roomId: RoomId,
  sender: UserId,
  eventId: EventId,
  reason: unknown,
): Promise<string | null> {
  try {
    await append(ctx, roomId, async room => {
      const content = typeof reason === 'string' ? { reason } : {}
      await room.add({ sender, type: 'm.room.redaction', content, redacts: eventId })
    })
    return null
  } catch (error) {
    if (error instanceof MatrixError && !error.isPassing) return error.message
    throw error
  }
}
