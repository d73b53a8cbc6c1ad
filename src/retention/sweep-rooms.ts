import { endSessions } from '../accounts/sessions.ts'
import { type Context } from '../context.ts'
import { MatrixError } from '../errors.ts'
import { leave } from '../rooms/leave.ts'
import {
  abandonedRooms, deleteAbandonedRoom, type IdleInvite, idleInvites, staleDevices,
} from '../storage/sweep-rooms.ts' // prettier-ignore
import { type SweptRoom } from '../storage/sweep.ts'
import { sweepWholeRoom } from './sweep-events.ts'
import { dateOf } from './sweep-rows.ts'

/** How many devices, invitations or rooms are asked for at a time. */
const batchSize = 100

/** Signs out and forgets the devices that have stayed away for too long. Returns how many there were. */
export async function sweepDevices(ctx: Context, signal: AbortSignal): Promise<number> {
  const { staleDevices: lifetimeMs } = ctx.config.retention
  if (lifetimeMs === null) return 0
  const before = dateOf(ctx.clock.now() - lifetimeMs)
  let count = 0
  while (!signal.aborted) {
    const devices = await staleDevices(ctx.db.kysely, before, batchSize)
    for (const device of devices) count += await endSessions(ctx, device, { only: [device.deviceId] })
    if (devices.length < batchSize) break
  }
  return count
}

/** Declines the invitations that have waited for too long. Returns how many there were. */
export async function sweepInvites(ctx: Context, signal: AbortSignal): Promise<number> {
  const { idleInvites: lifetimeMs } = ctx.config.retention
  if (lifetimeMs === null) return 0
  const beforeTs = ctx.clock.now() - lifetimeMs
  let count = 0
  for (let after = 0; !signal.aborted;) {
    const invites = await idleInvites(ctx.db.kysely, after, beforeTs, batchSize)
    for (const invite of invites) if (await decline(ctx, invite)) count++
    const last = invites.at(-1)
    if (!last || invites.length < batchSize) break
    after = last.eventNumber
  }
  return count
}

async function decline(ctx: Context, { userId, roomId }: IdleInvite): Promise<boolean> {
  try {
    await leave(ctx, { userId }, roomId)
    return true
  } catch (error) {
    // The rules of this room do not let them: the invitation stays.
    if (!(error instanceof MatrixError)) throw error
    return false
  }
}

/**
 * Deletes the rooms that every local user has left: those that all of them have forgotten, and with `longLeft` those that the
 * last of them left long ago. Returns how many there were.
 */
export async function sweepRooms(
  ctx: Context,
  signal: AbortSignal,
  options: { readonly longLeft: boolean },
): Promise<number> {
  const leftBeforeTs = options.longLeft ? ctx.clock.now() - ctx.config.retention.leftRooms : null
  let count = 0
  while (!signal.aborted) {
    const rooms = await abandonedRooms(ctx.db.kysely, leftBeforeTs, batchSize)
    let deleted = 0
    for (const room of rooms) if (!signal.aborted && (await removeRoom(ctx, room, signal))) deleted++
    count += deleted
    if (deleted === 0 || rooms.length < batchSize) break
  }
  return count
}

async function removeRoom(ctx: Context, room: SweptRoom, signal: AbortSignal): Promise<boolean> {
  await sweepWholeRoom(ctx, room, signal)
  if (signal.aborted) return false
  // The announcement is numbered when the row is gone: this process remembers the number from here on.
  await ctx.numbers.room(room.roomId)
  return ctx.log.transact(async (tx, announce) => {
    const isGone = await deleteAbandonedRoom(tx, room)
    if (isGone) announce({ kind: 'room', roomId: room.roomId })
    return isGone
  })
}
