import { type Context } from '../context.ts'
import { invalidParam, MatrixError, notFound } from '../errors.ts'
import { type EventId, parseRoomId, type RoomId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { jobOf, jobsAbout } from '../storage/background-jobs.ts'
import { transaction, type Tx } from '../storage/database.ts'
import { eventsById } from '../storage/events.ts'
import { messagesBefore } from '../storage/purge.ts'
import { forgetEvents } from '../storage/sweep.ts'
import { type JobKind, type NoteProgress, orderJob } from './jobs.ts'

const kind = 'purge_history'
const eventsAtOnce = 200

/**
 * Orders that a room's messages from before an event or a time be deleted, with all that points to them; those of this
 * server's users only `withLocal`. Returns the job's ID. Throws `notFound`, and 400 while the room is being purged already.
 */
export async function orderPurge(
  ctx: Context,
  caller: { readonly userNumber: number },
  roomId: RoomId,
  purge: { readonly before: { readonly eventId: EventId } | { readonly ts: number }; readonly withLocal: boolean },
): Promise<string> {
  const room = await ctx.numbers.room(roomId)
  if (!room) throw notFound('Room not found')
  const { before, withLocal } = purge
  let request: JsonObject = { withLocal, ts: 'ts' in before ? before.ts : null, position: null }
  if ('eventId' in before) {
    const [event] = await eventsById(ctx.db.kysely, ctx.numbers, [before.eventId])
    if (event?.roomNumber !== room.roomNumber || event.position === null) throw notFound('Event not found')
    request = { ...request, position: event.position }
  }
  const under = (await jobsAbout(ctx.db.kysely, ctx.numbers.sealer, kind, roomId)).some(({ status }) => status === 'scheduled' || status === 'active') // prettier-ignore
  if (under) throw new MatrixError('M_UNKNOWN', `History purge already in progress for ${roomId}`)
  return orderJob(ctx, { kind, userNumber: caller.userNumber, target: roomId, request })
}

/** How a purge stands, in Synapse's words. Throws `notFound`. */
export async function purgeStatus(ctx: Context, jobId: string): Promise<JsonObject> {
  const job = await jobOf(ctx.db.kysely, ctx.numbers.sealer, jobId, [kind])
  if (!job) throw notFound(`purge id '${jobId}' not found`)
  const status = job.status === 'scheduled' ? 'active' : job.status
  return { status, ...(job.failure === null ? {} : { error: job.failure }) }
}

const numberOrNull = (value: unknown) => (typeof value === 'number' ? value : null)

/** The work itself, a batch of messages at a step. */
export const purgeHistoryJob: JobKind = {
  async step(ctx, { target, request, progress }, note) {
    const roomId = parseRoomId(target)
    if (roomId === null) throw invalidParam('That is not a room ID')
    const room = await ctx.numbers.room(roomId)
    if (!room) return { progress, isDone: true }
    const { roomNumber } = room
    const before = { position: numberOrNull(request['position']), ts: numberOrNull(request['ts']) }
    const deleted = numberOrNull(progress['deletedEvents']) ?? 0
    const purge = { before, withLocal: request['withLocal'] === true }
    const { count, next } = await transaction(ctx.db, tx => purgeSome(ctx, tx, roomNumber, purge, deleted, note), {
      isolation: 'repeatable read',
    })
    // Apart from the deletion, as the sweeper does it. Once more after the last batch: a telling may have been lost.
    if (next.deletedEvents > 0) await ctx.log.post([{ kind: 'room', roomId }])
    return { progress: next, isDone: count < eventsAtOnce, isNoted: true }
  },
}

/** Deletes a batch after the `deleted` of before, and notes it; how many there were. */
async function purgeSome(
  ctx: Context,
  tx: Tx,
  roomNumber: number,
  purge: { readonly before: Parameters<typeof messagesBefore>[2]; readonly withLocal: boolean },
  deleted: number,
  note: NoteProgress,
): Promise<{ readonly count: number; readonly next: { readonly deletedEvents: number } }> {
  const events = await messagesBefore(tx, roomNumber, purge.before, purge.withLocal, eventsAtOnce)
  // No bucket passes: what is purged would have lived on, so each key is destroyed by itself.
  const sweeping = { events, pruned: [], passingBucket: -1 }
  if (events.length > 0) await forgetEvents(tx, ctx.numbers.sealer, sweeping)
  const next = { deletedEvents: deleted + events.length }
  await note(tx, next)
  return { count: events.length, next }
}
