import { type Context, isLocal } from '../context.ts'
import { invalidParam, MatrixError, notFound } from '../errors.ts'
import { type User } from '../http/endpoint.ts'
import { type EventId, type RoomId, type UserId } from '../protocol/identifiers.ts'
import { headForMember } from '../rooms/as-member.ts'
import { eventAccess, visibleEvent } from '../rooms/history.ts'
import { accountByUserId } from '../storage/accounts.ts'
import { transaction } from '../storage/database.ts'
import { insertReport } from '../storage/reports.ts'
import { isStorable } from './text.ts'

/** Bytes. */
export const reasonLimitBytes = 2_000

/**
 * Tells the administrators of an event that the user can see. Throws the same M_NOT_FOUND for an unknown event and a hidden
 * one. https://spec.matrix.org/v1.19/client-server-api/#reporting-content
 */
export async function reportEvent(
  ctx: Context,
  caller: User,
  roomId: RoomId,
  eventId: EventId,
  report: { readonly reason: string; readonly score: number | null },
): Promise<void> {
  await requireMember(ctx, caller, roomId)
  const access = await eventAccess(ctx, caller.userId, roomId)
  const { event, roomNumber } = await visibleEvent(ctx, caller.userId, access, eventId)
  const reportedNumber = await ctx.numbers.user(event.sender)
  await write(ctx, caller, { roomNumber, eventId, reportedNumber, ...report })
}

/** Tells the administrators of a room that the user is in. Throws the same M_NOT_FOUND for any other and for an unknown one. */
export async function reportRoom(ctx: Context, caller: User, roomId: RoomId, reason: string): Promise<void> {
  const { roomNumber } = await requireMember(ctx, caller, roomId)
  await write(ctx, caller, { roomNumber, eventId: null, reportedNumber: null, reason, score: null })
}

/** Tells the administrators of a user. Nothing is said, or kept, where this server has no such user. */
export async function reportUser(ctx: Context, caller: User, userId: UserId, reason: string): Promise<void> {
  if (isLocal(ctx, userId) && !(await accountByUserId(ctx.db.kysely, userId))) return
  const reportedNumber = await ctx.numbers.knownUser(userId)
  if (reportedNumber === null) return
  await write(ctx, caller, { roomNumber: null, eventId: null, reportedNumber, reason, score: null })
}

async function requireMember(ctx: Context, caller: User, roomId: RoomId) {
  try {
    return (await headForMember(ctx, caller, roomId)).facts
  } catch (error) {
    throw error instanceof MatrixError ? notFound('There is no such room or event') : error
  }
}

async function write(
  ctx: Context,
  { userNumber }: User,
  report: Omit<Parameters<typeof insertReport>[2], 'userNumber' | 'receivedTs'>,
): Promise<void> {
  if (!isStorable(report.reason)) throw invalidParam('reason is not valid')
  await transaction(ctx.db, tx =>
    insertReport(tx, ctx.numbers.sealer, { ...report, userNumber, receivedTs: ctx.clock.now() }),
  )
}
