import { type Clock } from '../clock.ts'
import { type RequestEnd } from '../http/endpoint.ts'
import { type DeviceId } from '../protocol/identifiers.ts'
import { type KnownUser } from './known-users.ts'

/** Why a waiting sync woke: something may be there for it, the time is up, or nobody waits for the answer any more. */
export type Wake = 'news' | 'timeout' | 'ended'

/** How many waiting syncs go on in one turn of the event loop; the rest let other work pass first. */
const wokenAtOnce = 32

/**
 * The interest of one /sync request, from before its first read until its answer. What happens while the answer is being
 * worked out is not missed: the next `wait` returns at once.
 */
export class Waiter {
  readonly user: KnownUser
  readonly deviceId: DeviceId | null
  /** True once the user's tokens or devices changed: whoever waits must show their token again. */
  mustReauthenticate = false
  #isWoken = false
  #resolve: (() => void) | null = null

  constructor(user: KnownUser, deviceId: DeviceId | null) {
    this.user = user
    this.deviceId = deviceId
  }

  /** True if there may be news that no `wait` has told of yet. */
  get isWoken(): boolean {
    return this.#isWoken
  }

  /** Waits for news since the last `wait` returned. */
  async wait(clock: Clock, timeoutMs: number, end: RequestEnd): Promise<Wake> {
    if (end.isOver) return 'ended'
    if (!this.#isWoken) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#resolve = resolve
      const timer = clock.setTimeout(resolve, timeoutMs)
      const ignoreEnd = end.listen(resolve)
      await promise
      timer.clear()
      ignoreEnd()
      this.#resolve = null
    }
    const woken = this.#isWoken
    this.#isWoken = false
    if (end.isOver) return 'ended'
    return woken ? 'news' : 'timeout'
  }

  /** True if it sleeps and must be woken by `resume`. */
  mark(): boolean {
    if (this.#isWoken) return false
    this.#isWoken = true
    return this.#resolve !== null
  }

  resume(): void {
    this.#resolve?.()
  }
}

/** Wakes the syncs that wait. One entry of a map for each. */
export class Notifier {
  readonly #waiters = new Map<KnownUser, Set<Waiter>>()
  #queue: Waiter[] = []
  #isDraining = false

  register(user: KnownUser, deviceId: DeviceId | null): Waiter {
    const waiter = new Waiter(user, deviceId)
    let waiters = this.#waiters.get(user)
    if (!waiters) this.#waiters.set(user, (waiters = new Set()))
    waiters.add(waiter)
    return waiter
  }

  release(waiter: Waiter): void {
    const waiters = this.#waiters.get(waiter.user)
    waiters?.delete(waiter)
    if (waiters?.size === 0) this.#waiters.delete(waiter.user)
  }

  isAwaited(user: KnownUser): boolean {
    return this.#waiters.has(user)
  }

  /** Wakes what waits for the user, or for one of their devices. */
  wake(user: KnownUser, deviceId: DeviceId | null = null): void {
    for (const waiter of this.#waiters.get(user) ?? [])
      if (deviceId === null || waiter.deviceId === deviceId) this.#wake(waiter)
  }

  wakeAll(users: Iterable<KnownUser>): void {
    for (const user of users) this.wake(user)
  }

  wakeEverybody(): void {
    this.wakeAll(this.#waiters.keys())
  }

  /** Wakes what waits for the user and makes it show its token again. */
  expel(user: KnownUser): void {
    for (const waiter of this.#waiters.get(user) ?? []) {
      waiter.mustReauthenticate = true
      this.#wake(waiter)
    }
  }

  #wake(waiter: Waiter): void {
    if (!waiter.mark()) return
    this.#queue.push(waiter)
    if (this.#isDraining) return
    this.#isDraining = true
    queueMicrotask(() => this.#drain())
  }

  #drain(): void {
    for (const waiter of this.#queue.splice(0, wokenAtOnce)) waiter.resume()
    if (this.#queue.length === 0) this.#isDraining = false
    else setImmediate(() => this.#drain())
  }
}
