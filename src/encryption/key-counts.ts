import { LRUCache } from 'lru-cache'
import { type Context, perServer } from '../context.ts'
import { type DeviceId, type UserId } from '../protocol/identifiers.ts'
import { type Tx } from '../storage/database.ts'
import { type KeyCounts, keyCountsOf } from '../storage/sync-keys.ts'

/** A device of a user of ours. */
export interface KeyOwner {
  readonly userId: UserId
  readonly userNumber: number
  readonly deviceId: DeviceId
}

interface Question {
  readonly device: KeyOwner
  readonly resolve: (counts: KeyCounts) => void
  readonly reject: (error: unknown) => void
}

/** How many devices one query counts for. */
const batchLimit = 500
/** Of how many users the counts are remembered. */
const rememberedLimit = 20_000

/**
 * Counts the keys of devices: every answer to /sync tells them. They are read for all that ask in one turn of the event loop
 * together, and remembered until keys of the user come or go, here or at another process.
 */
class KeyCounter {
  readonly #ctx: Context
  readonly #known = new LRUCache<UserId, Map<DeviceId, KeyCounts>>({ max: rememberedLimit })
  #questions: Question[] = []
  /** Counts the changes of what is remembered: a reading that began before a change is not kept. */
  #generation = 0
  /** The connection on which others were heard when what is remembered was read. */
  #heardOn: number | null = null

  constructor(ctx: Context) {
    this.#ctx = ctx
    // Devices that went have no keys, and neither has the next one of the same name.
    ctx.log.subscribe(entries => {
      for (const entry of entries) if (entry.kind === 'session') this.forget(entry.userId)
    })
    ctx.log.onBroadcast(({ kind, payload }) => {
      // Broadcasts come from processes like this one, which name parsed user IDs.
      if (kind === 'keys') this.forget(payload as UserId)
    })
  }

  /** What is remembered of a device; `null` where it must be asked for. */
  known({ userId, deviceId }: KeyOwner): KeyCounts | null {
    const { hearing } = this.#ctx.log
    if (hearing === null) return null
    if (hearing !== this.#heardOn) {
      // What others did while nobody listened has not been heard.
      this.#known.clear()
      this.#generation++
      this.#heardOn = hearing
      return null
    }
    return this.#known.get(userId)?.get(deviceId) ?? null
  }

  ask(device: KeyOwner): Promise<KeyCounts> {
    return new Promise((resolve, reject) => {
      this.#questions.push({ device, resolve, reject })
      if (this.#questions.length === 1) setImmediate(() => void this.#answer())
    })
  }

  forget(userId: UserId): void {
    this.#known.delete(userId)
    this.#generation++
  }

  async #answer(): Promise<void> {
    const questions = this.#questions.splice(0, batchLimit)
    if (this.#questions.length > 0) setImmediate(() => void this.#answer())
    const generation = this.#generation
    try {
      const counts = await keyCountsOf(this.#ctx.db.kysely, questions.map(({ device }) => device)) // prettier-ignore
      const mayKeep = generation === this.#generation && this.#ctx.log.hearing === this.#heardOn
      for (const [index, { device, resolve }] of questions.entries()) {
        const found = counts[index] ?? none
        if (mayKeep) this.#keep(device, found)
        resolve(found)
      }
    } catch (error) {
      for (const question of questions) question.reject(error)
    }
  }

  #keep({ userId, deviceId }: KeyOwner, counts: KeyCounts): void {
    if (this.#heardOn === null) return
    const devices = this.#known.get(userId)
    if (devices) devices.set(deviceId, counts)
    else this.#known.set(userId, new Map([[deviceId, counts]]))
  }
}

const none: KeyCounts = { oneTime: new Map(), unusedFallback: [] }

const counter = perServer(ctx => new KeyCounter(ctx))

/** How many keys a device has left to give: at once if that is remembered. The result must not be changed. */
export function keyCounts(ctx: Context, device: KeyOwner): KeyCounts | Promise<KeyCounts> {
  const keys = counter(ctx)
  return keys.known(device) ?? keys.ask(device)
}

/**
 * Runs a transaction in which keys of users come or go. `work` gets what it must call, before its end, with the users
 * whose keys those are; the counts of their keys are read again from then on, at every process.
 */
export async function changingKeys<T>(
  ctx: Context,
  run: (note: (tx: Tx, users: Iterable<UserId>) => Promise<void>) => Promise<T>,
): Promise<T> {
  const changed = new Set<UserId>()
  try {
    return await run(async (tx, users) => {
      const named = new Set(users)
      for (const userId of named) changed.add(userId)
      if (named.size > 0) await ctx.log.broadcastWith(tx, [...named].map(userId => ({ kind: 'keys', payload: userId }))) // prettier-ignore
    })
  } finally {
    // Also when it failed: nobody may know whether it was committed.
    for (const userId of changed) counter(ctx).forget(userId)
  }
}
