import { type Context } from '../context.ts'
import { invalidParam, MatrixError, notFound } from '../errors.ts'
import { parseRoomId, parseUserId, type RoomId, type UserId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type Actor } from '../rooms/actor.ts'
import { addState } from '../rooms/add-state.ts'
import { append } from '../rooms/append.ts'
import { createRoom, type RoomRequest } from '../rooms/create.ts'
import { roomHead } from '../rooms/head.ts'
import { leave } from '../rooms/leave.ts'
import { memberContent, profileContent } from '../rooms/member-content.ts'
import { appendEvent } from '../rooms/send.ts'
import { blockRoom, localMembers, unblockRoom } from '../storage/admin-rooms.ts'
import { aliasesOf, moveAliases } from '../storage/aliases.ts'
import { type Job, jobOf, jobsAbout } from '../storage/background-jobs.ts'
import { transaction } from '../storage/database.ts'
import { accountByUserId } from '../storage/accounts.ts'
import { joinedRooms } from '../storage/memberships.ts'
import { closeRoom, deleteRoom as deleteRoomRow, deleteRoomEvents, messagesOfSender } from '../storage/purge.ts'
import { type JobKind, type JobStep, type NoteProgress, orderJob } from './jobs.ts'
import { actorOf, localAccount } from './local-account.ts'

/** What is to become of a room. */
export interface Deletion {
  /** Whether nobody may enter it any more. */
  readonly isBlocked: boolean
  /** Whether everything of it is deleted once everybody has left. */
  readonly isPurged: boolean
  /** Purged even if somebody could not be removed. */
  readonly isForced: boolean
  /** Who makes a room in its place, which those who were in it are moved to; `null`: nobody. */
  readonly newRoomUserId: UserId | null
  readonly newRoomName: string
  readonly message: string
}

const kind = 'delete_room'
const membersAtOnce = 50
const eventsAtOnce = 500
/** Users that the answer names, of each sort. */
const namedLimit = 10_000

/**
 * Orders that a room be emptied of this server's users and, unless that is not wanted, deleted; nobody may enter meanwhile.
 * Returns the job's ID. Throws `notFound` for an unknown room, 400 while it is being deleted already.
 */
export async function orderDeletion(
  ctx: Context,
  caller: { readonly userNumber: number | null },
  roomId: RoomId,
  deletion: Deletion,
): Promise<string> {
  const { userNumber } = caller
  if (deletion.newRoomUserId !== null) await localAccount(ctx, deletion.newRoomUserId)
  if (!(await ctx.numbers.room(roomId)) || !(await roomHead(ctx, roomId))) throw notFound('Room not found')
  if ((await deletionUnderWay(ctx, roomId)) !== null) throw invalidParam(`Purge already in progress for ${roomId}`)
  const { isBlocked, isPurged, isForced, newRoomUserId, newRoomName, message } = deletion
  const request = { isPurged, isForced, newRoomUserId, newRoomName, message }
  return orderJob(ctx, { kind, userNumber, target: roomId, request }, tx =>
    blockRoom(tx, roomId, userNumber, !isBlocked),
  )
}

/** Keeps everybody from entering a room that this server does not know. False if it knows it. */
export async function blockUnknownRoom(
  ctx: Context,
  caller: { readonly userNumber: number },
  roomId: RoomId,
): Promise<boolean> {
  if (await ctx.numbers.room(roomId)) return false
  await transaction(ctx.db, tx => blockRoom(tx, roomId, caller.userNumber, false))
  return true
}

/** The ID of the job that is deleting a room, or soon will be; `null` if there is none. */
export async function deletionUnderWay(ctx: Context, roomId: RoomId): Promise<string | null> {
  const found = await jobsAbout(ctx.db.kysely, ctx.numbers.sealer, kind, roomId)
  return found.find(({ status }) => status === 'scheduled' || status === 'active')?.jobId ?? null
}

/** How many events of a room a deletion has deleted so far. */
export async function deletedSoFar(ctx: Context, jobId: string): Promise<number> {
  const job = await jobOf(ctx.db.kysely, ctx.numbers.sealer, jobId, [kind])
  const count = job?.progress['deletedEvents']
  return typeof count === 'number' ? count : 0
}

/** One deletion as Synapse tells of it. Throws `notFound`. */
export async function deletionStatus(ctx: Context, jobId: string): Promise<JsonObject> {
  const job = await jobOf(ctx.db.kysely, ctx.numbers.sealer, jobId, [kind])
  if (!job) throw notFound('delete id not found')
  return statusAnswer(job)
}

/** All deletions of a room that are remembered. Throws `notFound` if there is none. */
export async function deletionsOf(ctx: Context, roomId: RoomId): Promise<JsonObject[]> {
  const found = await jobsAbout(ctx.db.kysely, ctx.numbers.sealer, kind, roomId)
  if (found.length === 0) throw notFound('No delete task for this room found')
  return found.map(statusAnswer)
}

function statusAnswer({ jobId, target, status, progress, failure }: Job): JsonObject {
  return {
    delete_id: jobId,
    room_id: target,
    status,
    ...(failure === null ? {} : { error: failure }),
    shutdown_room: outcomeOf(progress),
  }
}

/** What a deletion came to, in Synapse's words. */
export function outcomeOf(progress: JsonObject): JsonObject {
  return {
    kicked_users: textsOf(progress['kicked']),
    failed_to_kick_users: textsOf(progress['failed']),
    local_aliases: textsOf(progress['aliases']),
    new_room_id: progress['newRoomId'] ?? null,
  }
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : []
}

/** The work itself: first the room in its place, then everybody out, then the rows. */
export const deleteRoomJob: JobKind = {
  async step(ctx, job, note) {
    const roomId = parseRoomId(job.target)
    if (roomId === null) throw invalidParam('That is not a room ID')
    const facts = await ctx.numbers.room(roomId)
    switch (job.progress['phase'] ?? 'replace') {
      case 'replace':
        return facts ? replace(ctx, job, facts.roomNumber) : done(ctx, job, roomId)
      case 'empty':
        return facts ? empty(ctx, job, roomId, facts.roomNumber) : done(ctx, job, roomId)
      case 'delete':
        return facts ? deleteSome(ctx, job, roomId, facts.roomNumber, note) : done(ctx, job, roomId)
      default:
        return done(ctx, job, roomId)
    }
  },
}

async function done(ctx: Context, { progress }: Job, roomId: RoomId): Promise<JobStep> {
  await transaction(ctx.db, tx => unblockRoom(tx, roomId, true))
  return { progress: { ...progress, phase: 'done' }, isDone: true }
}

async function replace(ctx: Context, { jobId, request, progress }: Job, roomNumber: number): Promise<JobStep> {
  const aliases = await aliasesOf(ctx.db.kysely, roomNumber)
  const next = { ...progress, phase: 'empty', aliases }
  const userId = parseUserId(String(request['newRoomUserId'] ?? ''))
  if (userId === null) return { progress: next, isDone: false }
  const actor = { ...actorOf(await localAccount(ctx, userId)), isSuspended: false }
  const newRoomId =
    (await replacementOf(ctx, actor, jobId)) ??
    (await createRoom(ctx, actor, newRoomOf(String(request['newRoomName']), jobId)))
  const newRoom = await ctx.numbers.room(newRoomId)
  if (!newRoom) throw new MatrixError('M_UNKNOWN', 'The room in its place has gone')
  const said = await messagesOfSender(ctx.db.kysely, newRoom.roomNumber, actor.userNumber, Number.MAX_SAFE_INTEGER, 1)
  if (said.length === 0) {
    const content = { msgtype: 'm.text', body: String(request['message']) }
    await appendEvent(ctx, actor, newRoomId, { sender: userId, type: 'm.room.message', content })
  }
  await transaction(ctx.db, tx => moveAliases(tx, roomNumber, newRoom.roomNumber))
  return { progress: { ...next, newRoomId }, isDone: false }
}

/** In the create event of a room: the job that made it, so that it does not make another. */
const madeBy = 'org.lethe.job'

/** The room that a job has made already, before its process died. */
async function replacementOf(ctx: Context, actor: Actor, jobId: string): Promise<RoomId | null> {
  for (const { roomId } of await joinedRooms(ctx.db.kysely, actor.userNumber)) {
    const head = await roomHead(ctx, roomId)
    if (head?.event('m.room.create')?.content[madeBy] === jobId) return roomId
  }
  return null
}

/** Everybody may enter and hardly anybody say anything. */
function newRoomOf(name: string, jobId: string): RoomRequest {
  return {
    preset: 'public_chat',
    isPublic: false,
    name,
    invite: [],
    isDirect: false,
    creationContent: { [madeBy]: jobId },
    initialState: [],
    powerLevels: { users_default: -10 },
  }
}

async function empty(ctx: Context, job: Job, roomId: RoomId, roomNumber: number): Promise<JobStep> {
  const { request, progress } = job
  const after = typeof progress['after'] === 'number' ? progress['after'] : 0
  const kicked = textsOf(progress['kicked'])
  const failed = textsOf(progress['failed'])
  const leaving = textsOf(progress['leaving'])
  if (leaving.length > 0) {
    const newRoomId = parseRoomId(String(progress['newRoomId'] ?? ''))
    for (const userId of leaving.flatMap(text => parseUserId(text) ?? [])) {
      const isOut = await removeFrom(ctx, userId, roomId, newRoomId)
      const list = isOut ? kicked : failed
      if (list.length < namedLimit && !list.includes(userId)) list.push(userId)
    }
    return { progress: { ...progress, kicked, failed, leaving: [] }, isDone: false }
  }
  // Who is to leave is written down before they do, so that they are told of whatever becomes of this process.
  const members = await localMembers(ctx.db.kysely, roomNumber, ['join', 'invite', 'knock'], after, membersAtOnce)
  const next = {
    ...progress, kicked, failed, leaving: members.map(({ userId }) => userId), after: members.at(-1)?.userNumber ?? after,
  } // prettier-ignore
  if (members.length > 0) return { progress: next, isDone: false }
  if (request['isPurged'] !== true) return done(ctx, { ...job, progress: next }, roomId)
  if (failed.length > 0 && request['isForced'] !== true) {
    throw new MatrixError('M_UNKNOWN', 'Users are still joined to this room')
  }
  await transaction(ctx.db, tx => closeRoom(tx, roomNumber))
  await ctx.log.post([{ kind: 'room', roomId }])
  return { progress: { ...next, phase: 'delete' }, isDone: false }
}

/** Lets a user leave and, if there is one, enter the room in its place. False if they could not leave. */
async function removeFrom(ctx: Context, userId: UserId, roomId: RoomId, newRoomId: RoomId | null): Promise<boolean> {
  try {
    await leave(ctx, { userId }, roomId)
  } catch (error) {
    if (!(error instanceof MatrixError) || error.isPassing) throw error
    return false
  }
  const account = newRoomId === null ? null : await accountByUserId(ctx.db.kysely, userId)
  if (newRoomId === null || !account || account.isDeactivated) return true
  try {
    // Not `join`, which would have them wait for each other.
    const content = memberContent('join', undefined, await profileContent(ctx, userId))
    await append(ctx, newRoomId, async room => {
      if (room.head.membership(userId) === 'join') return
      await addState(room, { sender: userId, type: 'm.room.member', stateKey: userId, content })
    })
  } catch (error) {
    // They are out of the old room, which is what was asked for.
    if (!(error instanceof MatrixError) || error.isPassing) throw error
  }
  return true
}

async function deleteSome(
  ctx: Context,
  job: Job,
  roomId: RoomId,
  roomNumber: number,
  note: NoteProgress,
): Promise<JobStep> {
  const before = typeof job.progress['deletedEvents'] === 'number' ? job.progress['deletedEvents'] : 0
  const { count, progress } = await transaction(ctx.db, async tx => {
    const deleted = await deleteRoomEvents(tx, roomNumber, eventsAtOnce)
    const next = { ...job.progress, deletedEvents: before + deleted }
    await note(tx, next)
    return { count: deleted, progress: next }
  })
  if (count > 0) return { progress, isDone: false, isNoted: true }
  await ctx.log.transact(async (tx, announce) => {
    await deleteRoomRow(tx, roomNumber)
    announce({ kind: 'room', roomId })
  })
  return done(ctx, { ...job, progress }, roomId)
}

/** Reads `request` fields that Synapse names. */
export function deletionOf(body: {
  readonly block?: boolean
  readonly purge?: boolean
  readonly force_purge?: boolean
  readonly new_room_user_id?: string | null
  readonly room_name?: string | null
  readonly message?: string | null
}): Deletion {
  const given = body.new_room_user_id ?? null
  const newRoomUserId = given === null ? null : parseUserId(given)
  if (given !== null && newRoomUserId === null) throw invalidParam('new_room_user_id is not a user ID')
  return {
    isBlocked: body.block ?? false,
    isPurged: body.purge ?? true,
    isForced: body.force_purge ?? false,
    newRoomUserId,
    newRoomName: body.room_name ?? 'Content Violation Notification',
    message:
      body.message ?? 'Sharing illegal content on this server is not permitted and rooms in violation will be blocked.',
  }
}
