import { today } from '../accounts/dates.ts'
import { type Context, perServer } from '../context.ts'
import { describeError } from '../log.ts'
import { deleteMedia } from '../media/delete.ts'
import { type EventId, type RoomId } from '../protocol/identifiers.ts'
import { prunedEvent } from '../rooms/append.ts'
import { leaveAllRooms } from '../rooms/leave-all.ts'
import { whileAlone } from '../storage/advisory-lock.ts'
import { DatabaseError, transaction, type Tx } from '../storage/database.ts'
import {
  type Erasure, type ErasureCounts, type EventToErase, eventsToErase, finishErasure, noteErasure, pruneInPlace,
  unfinishedErasures,
} from '../storage/erasures.ts' // prettier-ignore
import { eventBody, eventsByNumber } from '../storage/events.ts'
import { noteDeadSeals } from '../storage/keyring-row.ts'
import { mediaOfUser } from '../storage/media.ts'
import { membershipsOf } from '../storage/memberships.ts'
import { countOwnRows, deleteOwnRows } from '../storage/own-rows.ts'
import { forgetReportedUser } from '../storage/reports.ts'
import { forgetEvents } from '../storage/sweep.ts'
import { inventory } from './inventory.ts'
import { receiptLifetimeMs } from './lifetimes.ts'
import { sealOf } from './seal.ts'

/** How many events or rows one transaction erases at most. */
const batchSize = 200
/** How often another process's requests are looked for, and work that met an obstacle is taken up again. */
const intervalMs = 60_000
/** How often a batch is tried that somebody else's rows are in the way of. */
const attempts = 20
const retryMs = 250

/** Where every timeline begins. */
const beginning = -Number.MAX_SAFE_INTEGER

const wakers = perServer(() => new Set<() => void>())

/** Lets the work begin at once in this process. */
export function wakeEraser(ctx: Context): void {
  for (const wake of wakers(ctx)) wake()
}

/** Erases accounts while the server runs, and goes on with what an earlier one had begun. */
export const eraser = {
  name: 'eraser',
  start(ctx: Context): () => Promise<void> {
    const stopping = new AbortController()
    const running = eraseOnAndOn(ctx, stopping.signal)
    return async () => {
      stopping.abort()
      await running
    }
  },
}

async function eraseOnAndOn(ctx: Context, signal: AbortSignal): Promise<void> {
  let pause = new AbortController()
  let isAsked: boolean
  const wake = () => {
    isAsked = true
    pause.abort()
  }
  wakers(ctx).add(wake)
  signal.addEventListener('abort', wake)
  while (!signal.aborted) {
    isAsked = false
    pause = new AbortController()
    try {
      await eraseAll(ctx, signal)
    } catch (error) {
      ctx.logger.warn('Erasing did not come to its end', { component: 'eraser', ...describeError(error) })
    }
    // It rejects when it is woken, which is no failure.
    if (!isAsked) await ctx.clock.sleep(intervalMs, pause.signal).catch(() => undefined)
  }
  wakers(ctx).delete(wake)
}

/**
 * Erases all accounts that are to be erased. Every step is a transaction that says how far the work has come, so it may be
 * killed at any point and goes on where it was. Returns how many were finished; `null` if another process is at it.
 */
export function eraseAll(ctx: Context, signal: AbortSignal = ctx.shutdown): Promise<number | null> {
  return whileAlone(ctx.db, 'eraser', async () => {
    let count = 0
    for (const erasure of await unfinishedErasures(ctx.db.kysely)) {
      try {
        await new Eraser(ctx, erasure, signal).run()
        if (!signal.aborted) count += 1
      } catch (error) {
        // It is taken up again at the next round, and does not keep the others from being erased.
        ctx.logger.warn('Erasing did not come to its end', { component: 'eraser', ...describeError(error) })
      }
      if (signal.aborted) break
    }
    return count
  })
}

interface WalkedBatch {
  /** Where to go on; `null`: with the events that have no place in the timeline, which come last. */
  readonly next: number | null | 'end'
  readonly hasChanged: boolean
}

/** The erasing of one account. */
class Eraser {
  readonly #ctx: Context
  readonly #erasure: Erasure
  readonly #signal: AbortSignal
  #counts: ErasureCounts

  constructor(ctx: Context, erasure: Erasure, signal: AbortSignal) {
    this.#ctx = ctx
    this.#erasure = erasure
    this.#signal = signal
    this.#counts = erasure.counts
  }

  async run(): Promise<void> {
    const { userId, userNumber, roomNumber: lastRoom, position } = this.#erasure
    // Whoever has left can send nothing more: what is walked afterwards is all there is.
    await leaveAllRooms(this.#ctx, userId)
    const rooms = (await membershipsOf(this.#ctx.db.kysely, userNumber)).filter(room => room.roomNumber > lastRoom)
    rooms.sort((a, b) => a.roomNumber - b.roomNumber)
    for (const [index, room] of rooms.entries()) {
      await this.#walk(room, index === 0 ? position : beginning)
      if (this.#signal.aborted) return
    }
    for (const table of ['transactions', 'event_relations', 'receipts', 'device_list_changes'] as const) {
      await this.#deleteRows(table)
    }
    await this.#step(async tx => ({ pruned: { reports: await forgetReportedUser(tx, userNumber) } }))
    await this.#deleteMedia()
    if (this.#signal.aborted) return
    await this.#ctx.log.post([{ kind: 'erasure', userId }])
    await this.#finish()
  }

  // Rooms --------------------------------------------------------------------------------------------------------------

  async #walk(room: { readonly roomId: RoomId; readonly roomNumber: number }, from: number): Promise<void> {
    let hasChanged = false
    let next: number | null | 'end' = from
    while (next !== 'end' && !this.#signal.aborted) {
      const after: number | null = next
      const batch: WalkedBatch = await this.#patiently(() => this.#walkBatch(room, after))
      hasChanged ||= batch.hasChanged
      next = batch.next
    }
    // Told apart from the deletion, as the sweeper does.
    if (hasChanged) await this.#ctx.log.post([{ kind: 'room', roomId: room.roomId }])
  }

  async #walkBatch(
    room: { readonly roomId: RoomId; readonly roomNumber: number },
    after: number | null,
  ): Promise<WalkedBatch> {
    const { roomNumber } = room
    const work = async (tx: Tx): Promise<WalkedBatch & { readonly counts: ErasureCounts }> => {
      const events = await eventsToErase(tx, roomNumber, this.#erasure, after, batchSize)
      const messages = events.filter(event => !event.isState)
      // Settings that are in force are the room's: without them it would lose its name, its encryption, its lifetime.
      const state = events.filter(event => event.isState && !event.isPruned && (!event.isCurrent || event.isAboutUser))
      const stubs = await this.#prunedForms(tx, room.roomId, [...messages.filter(event => event.isExtremity), ...state])
      if (messages.length > 0) {
        await forgetEvents(tx, this.#ctx.numbers.sealer, {
          events: messages,
          pruned: stubs
            .filter(stub => messages.some(event => event.eventNumber === stub.eventNumber))
            .map(stub => ({ ...stub, roomNumber })),
          // None of it would have passed by itself, so each key is destroyed.
          passingBucket: -1,
        })
      }
      await pruneInPlace(
        tx,
        this.#ctx.numbers.sealer,
        roomNumber,
        stubs.filter(stub => state.some(event => event.eventNumber === stub.eventNumber)),
      )
      const last = events.at(-1)?.position ?? null
      const isEnd = events.length < batchSize
      const next = !isEnd ? last : after === null ? ('end' as const) : null
      const extremities = messages.filter(event => event.isExtremity).length
      const counts = added(this.#counts, {
        deleted: { events: messages.length - extremities },
        pruned: { events: state.length + extremities },
      })
      await noteErasure(tx, this.#erasure.userNumber, {
        counts,
        ...(next === 'end' ? { roomNumber, position: beginning } : next === null ? {} : { position: next }),
      })
      return { counts, next, hasChanged: messages.length + state.length > 0 }
    }
    const done = await transaction(this.#ctx.db, work, { isolation: 'repeatable read' })
    this.#counts = done.counts
    return done
  }

  async #prunedForms(
    tx: Tx,
    roomId: RoomId,
    events: readonly EventToErase[],
  ): Promise<{ readonly eventNumber: number; readonly eventId: EventId; readonly body: string }[]> {
    const { numbers } = this.#ctx
    const facts = await numbers.room(roomId)
    if (!facts || events.length === 0) return []
    const stored = await eventsByNumber(
      tx,
      numbers,
      events.map(event => event.eventNumber),
    )
    return stored.flatMap(({ eventNumber, event }) => {
      const pruned = prunedEvent(event, facts.version)
      return pruned ? [{ eventNumber, eventId: event.eventId, body: eventBody(pruned, facts.version) }] : []
    })
  }

  // Other rows ---------------------------------------------------------------------------------------------------------

  async #deleteRows(table: 'transactions' | 'event_relations' | 'receipts' | 'device_list_changes'): Promise<void> {
    for (let count = batchSize; count >= batchSize && !this.#signal.aborted;) {
      await this.#step(async tx => {
        count = await deleteOwnRows(tx, inventory, table, this.#erasure, batchSize)
        return { deleted: { [table]: count } }
      })
    }
  }

  async #deleteMedia(): Promise<void> {
    while (!this.#signal.aborted) {
      const [mediaId] = await mediaOfUser(this.#ctx.db.kysely, this.#erasure.userNumber, 1)
      if (mediaId === undefined) return
      const isDeleted = await deleteMedia(this.#ctx, mediaId)
      if (isDeleted) await this.#step(() => Promise.resolve({ deleted: { media: 1 } }))
    }
  }

  async #finish(): Promise<void> {
    const { db, clock } = this.#ctx
    const kept: Record<string, number> = {}
    for (const [name, { ways }] of Object.entries(inventory)) {
      // They are keys of the inventory.
      const table = name as keyof typeof inventory
      const count = ways ? await countOwnRows(db.kysely, inventory, table, this.#erasure) : 0
      if (count > 0) kept[table] = count
    }
    const { sealer } = this.#ctx.numbers
    const { userNumber } = this.#erasure
    await transaction(db, async tx => {
      // What was the account's own dies with one key, in every copy of the database.
      if (sealer.isOn) await noteDeadSeals(tx, [sealOf(sealer.accountPlace(userNumber))])
      await finishErasure(tx, userNumber, {
        counts: { ...this.#counts, kept },
        finishedOn: today(clock),
        expiresTs: clock.now() + receiptLifetimeMs,
      })
    })
  }

  /** Runs one step and notes what it came to in the same transaction. */
  async #step(work: (tx: Tx) => Promise<Partial<ErasureCounts>>): Promise<void> {
    if (this.#signal.aborted) return
    this.#counts = await this.#patiently(() =>
      transaction(this.#ctx.db, async tx => {
        const counts = added(this.#counts, await work(tx))
        await noteErasure(tx, this.#erasure.userNumber, { counts })
        return counts
      }),
    )
  }

  /** Senders go first: a batch that would wait for somebody's rows is tried again a little later. */
  async #patiently<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work()
      } catch (error) {
        const isBusy = error instanceof DatabaseError && error.code === '55P03'
        if (!isBusy || attempt >= attempts) throw error
        await this.#ctx.clock.sleep(retryMs, this.#signal)
      }
    }
  }
}

function added(counts: ErasureCounts, more: Partial<ErasureCounts>): ErasureCounts {
  const sum = (part: 'deleted' | 'pruned' | 'kept') => {
    const total: Record<string, number> = { ...counts[part] }
    for (const [table, count] of Object.entries(more[part] ?? {})) {
      if (count > 0) total[table] = (total[table] ?? 0) + count
    }
    return total
  }
  return { deleted: sum('deleted'), pruned: sum('pruned'), kept: sum('kept') }
}
