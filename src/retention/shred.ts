import { type Context, perServer } from '../context.ts'
import { keptBucket, passedBucket, placeOf } from '../privacy/seal.ts'
import { effectivePolicy, retentionStateTypes } from '../protocol/retention.ts'
import { transaction, type Tx } from '../storage/database.ts'
import { deadSeals, deleteDeadSeals } from '../storage/keyring-row.ts'
import { retentionOverridesOf } from '../storage/retention-overrides.ts'
import { endingBucket } from '../storage/sealed.ts'
import { eventsSealedThrough, replaceBodies, stateEventsOf, type Survivor } from '../storage/sweep.ts'

/** How many events one transaction seals anew. */
const survivorBatchSize = 200
/** How many keys are destroyed with one writing of the keyring. */
const sealBatchSize = 50_000
/** For an event that ought to be gone: the sweeper did not get to it, and does so before this is over. */
const graceMs = 3_600_000

/** The newest bucket that this process has destroyed the keys of. */
const shredded = perServer(() => ({ through: -1 }))

/**
 * Destroys keys: of the buckets whose time has passed, after what lives on in spite of that has been sealed anew, and of
 * what was deleted, redacted or replaced before its time. From then on no copy of what they sealed can be opened, wherever it
 * lies. May be stopped or killed at any point and goes on where it was. Returns how many notes of dead keys were dealt with.
 * Throws `KeyringError`, `DatabaseError`.
 */
export async function shred(ctx: Context, signal: AbortSignal): Promise<number> {
  const throughBucket = passedBucket(ctx.clock.now())
  const state = shredded(ctx)
  let count = 0
  for (let isLast = false; !isLast && !signal.aborted;) {
    await reseal(ctx, throughBucket, signal)
    const seals = await deadSeals(ctx.db.kysely, sealBatchSize)
    isLast = seals.length < sealBatchSize
    if (signal.aborted || (seals.length === 0 && throughBucket <= state.through)) return count
    await ctx.keyring.destroy({ places: seals.flatMap(seal => placeOf(seal) ?? []), throughBucket })
    state.through = throughBucket
    await transaction(ctx.db, tx => deleteDeadSeals(tx, seals))
    count += seals.length
  }
  return count
}

/** Seals anew what outlives its bucket, because the room's messages live longer now than when they came. */
async function reseal(ctx: Context, throughBucket: number, signal: AbortSignal): Promise<void> {
  for (let count = survivorBatchSize; count === survivorBatchSize && !signal.aborted;) {
    count = await transaction(ctx.db, async tx => {
      const survivors = await eventsSealedThrough(tx, throughBucket, survivorBatchSize)
      await replaceBodies(tx, await sealedAnew(ctx, tx, survivors))
      return survivors.length
    })
  }
}

async function sealedAnew(ctx: Context, tx: Tx, survivors: readonly Survivor[]) {
  const { sealer } = ctx.numbers
  const roomNumbers = [...new Set(survivors.map(({ roomNumber }) => roomNumber))]
  const states = await stateEventsOf(tx, ctx.numbers, roomNumbers, retentionStateTypes)
  const overrides = await retentionOverridesOf(tx, roomNumbers)
  const nowTs = ctx.clock.now()
  return survivors.map(({ eventNumber, eventId, roomNumber, roomId, ageTs, body }) => {
    const stateOf = (type: string) =>
      states.get(roomNumber)?.find(({ event }) => event.type === type)?.event.content ?? null
    const { maxLifetime } = effectivePolicy(ctx.config.retention, roomId, stateOf, overrides.get(roomNumber) ?? null)
    const text = sealer.open(body, eventId)
    // Its key is gone, so there is nothing to seal: it has no bucket to wait for any more.
    if (text === null) return { eventNumber, body, bucket: endingBucket({ bucket: keptBucket }) }
    const place =
      maxLifetime === null
        ? sealer.placeFor({ kind: 'kept' }, roomNumber)
        : sealer.placeFor(
            {
              kind: 'until',
              expiresTs: Math.max(ageTs + maxLifetime, nowTs + graceMs),
              lifetimeMs: maxLifetime,
            },
            roomNumber,
          )
    return { eventNumber, body: sealer.seal(text, place, eventId), bucket: endingBucket(place) }
  })
}
