import { type Context } from '../context.ts'
import { badJson, notFound } from '../errors.ts'
import { type RoomId } from '../protocol/identifiers.ts'
import { isLifetime, type Lifetime } from '../protocol/retention.ts'
import { type RoomFacts } from '../storage/numbers.ts'
import {
  deleteRetentionOverride, putRetentionOverride, type RetentionOverride, retentionOverridesAfter,
} from '../storage/retention-overrides.ts' // prettier-ignore

export { type RetentionOverride } from '../storage/retention-overrides.ts'

/**
 * Sets how long messages in a room live, over what the room says and over the server's limits; the settings' own word for the
 * room stands above it. No longest lifetime at all (`null`) keeps them for ever. It is in force everywhere when this resolves.
 * Throws M_NOT_FOUND for an unknown room, M_BAD_JSON for numbers that are no lifetimes or contradict each other.
 */
export async function setRetentionOverride(ctx: Context, roomId: RoomId, lifetime: Lifetime): Promise<void> {
  const { maxLifetime, minLifetime } = lifetime
  if (!isLifetime(maxLifetime) || !isLifetime(minLifetime)) throw badJson('A lifetime must be a positive number of milliseconds, or null') // prettier-ignore
  if (maxLifetime !== null && minLifetime !== null && maxLifetime < minLifetime) {
    throw badJson('max_lifetime must not be less than min_lifetime')
  }
  const room = await knownRoom(ctx, roomId)
  await ctx.log.transact(async (tx, announce) => {
    await putRetentionOverride(tx, room.roomNumber, lifetime)
    // Every process reads the room's head anew.
    announce({ kind: 'room', roomId })
  })
}

/** Lets the room have its own policy again. False if there was none of an administrator's. Throws M_NOT_FOUND likewise. */
export async function clearRetentionOverride(ctx: Context, roomId: RoomId): Promise<boolean> {
  const room = await knownRoom(ctx, roomId)
  return ctx.log.transact(async (tx, announce) => {
    const isGone = await deleteRetentionOverride(tx, room.roomNumber)
    if (isGone) announce({ kind: 'room', roomId })
    return isGone
  })
}

/** Up to `limit` rooms with a policy of an administrator's, those after a room number (0: the first). */
export function listRetentionOverrides(ctx: Context, after: number, limit: number): Promise<RetentionOverride[]> {
  return retentionOverridesAfter(ctx.db.kysely, after, limit)
}

async function knownRoom(ctx: Context, roomId: RoomId): Promise<RoomFacts> {
  const room = await ctx.numbers.room(roomId)
  if (!room) throw notFound('There is no such room')
  return room
}
