import { type Context } from '../context.ts'
import { bucketOf } from '../privacy/seal.ts'
import { effectivePolicy, retentionStateTypes } from '../protocol/retention.ts'
import { retentionOverridesOf } from '../storage/retention-overrides.ts'
import { type Cutoff, roomsAfter, type RoomsWanted, stateEventsOf, type SweptRoom } from '../storage/sweep.ts'

/** How many rooms are looked at together. */
const roomPageSize = 500

/** Every room that has a lifetime, a page at a time, with the age below which its messages have expired by now. */
export async function* cutoffPages(ctx: Context): AsyncIterableIterator<Cutoff[]> {
  const settings = ctx.config.retention
  const wanted: RoomsWanted =
    settings.default.maxLifetime === null
      ? { stateTypes: retentionStateTypes, roomIds: Object.keys(settings.rooms) }
      : 'all'
  for (let after = 0; ;) {
    const page = await roomsAfter(ctx.db.kysely, after, roomPageSize, wanted)
    if (page.length > 0) yield cutoffsOf(ctx, page)
    const last = page.at(-1)
    if (!last || page.length < roomPageSize) return
    after = last.roomNumber
  }
}

/** Those of the rooms that have a lifetime, by the same policy that readers go by. */
async function cutoffsOf(ctx: Context, rooms: readonly SweptRoom[]): Promise<Cutoff[]> {
  const numbers = rooms.map(room => room.roomNumber)
  const states = await stateEventsOf(ctx.db.kysely, ctx.numbers, numbers, retentionStateTypes)
  const overrides = await retentionOverridesOf(ctx.db.kysely, numbers)
  const nowTs = ctx.clock.now()
  return rooms.flatMap(room => {
    const ofRoom = states.get(room.roomNumber) ?? []
    const stateOf = (type: string) => ofRoom.find(({ event }) => event.type === type)?.event.content ?? null
    const override = overrides.get(room.roomNumber) ?? null
    const { maxLifetime } = effectivePolicy(ctx.config.retention, room.roomId, stateOf, override)
    if (maxLifetime === null) return []
    return [{ ...room, cutoffTs: nowTs - maxLifetime, passingBucket: bucketOf(nowTs, maxLifetime) }]
  })
}
