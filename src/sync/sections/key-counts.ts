import { type Context, perServer } from '../../context.ts'
import { type User } from '../../http/endpoint.ts'
import { type CountedDevice, type KeyCounts, keyCountsOf } from '../../storage/sync-keys.ts'

interface Question {
  readonly device: CountedDevice
  readonly resolve: (counts: KeyCounts) => void
  readonly reject: (error: unknown) => void
}

/** How many devices one query counts for. */
const batchLimit = 500

/**
 * Counts the keys of devices. Every answer to /sync tells them, and keys are claimed without the log knowing; so they are
 * always read, but for all the answers of one turn of the event loop together.
 */
class KeyCounter {
  readonly #ctx: Context
  #questions: Question[] = []

  constructor(ctx: Context) {
    this.#ctx = ctx
  }

  ask(device: CountedDevice): Promise<KeyCounts> {
    return new Promise((resolve, reject) => {
      this.#questions.push({ device, resolve, reject })
      if (this.#questions.length === 1) setImmediate(() => void this.#answer())
    })
  }

  async #answer(): Promise<void> {
    const questions = this.#questions.splice(0, batchLimit)
    if (this.#questions.length > 0) setImmediate(() => void this.#answer())
    try {
      const counts = await keyCountsOf(this.#ctx.db.kysely, questions.map(({ device }) => device)) // prettier-ignore
      for (const [index, question] of questions.entries()) question.resolve(counts[index] ?? none)
    } catch (error) {
      for (const question of questions) question.reject(error)
    }
  }
}

const none: KeyCounts = { oneTime: new Map(), unusedFallback: [] }

const counter = perServer(ctx => new KeyCounter(ctx))

/**
 * `device_one_time_keys_count` and `device_unused_fallback_key_types` as members of a JSON object; '' without a device.
 * `signed_curve25519` is always there: clients upload more when they are told of a zero.
 * https://spec.matrix.org/v1.19/client-server-api/#e2e-extensions-to-sync
 */
export async function keyCountsText(ctx: Context, { userNumber, deviceId }: User): Promise<string> {
  if (deviceId === null) return ''
  const { oneTime, unusedFallback } = await counter(ctx).ask({ userNumber, deviceId })
  const counts = JSON.stringify({ signed_curve25519: 0, ...Object.fromEntries(oneTime) })
  return `"device_one_time_keys_count":${counts},"device_unused_fallback_key_types":${JSON.stringify(unusedFallback)}`
}
