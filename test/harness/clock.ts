import { setImmediate as nextTurn } from 'node:timers/promises'
import { sleepOn, type Clock, type Timer } from '../../src/clock.ts'

/** Sunday 2026-03-01 12:00 UTC: tests start at a fixed time, so that a failure can be repeated. */
export const TEST_START_MS = Date.UTC(2026, 2, 1, 12)

/** A clock that stands still until the test moves it. */
export class TestClock implements Clock {
  readonly #startMs: number
  #nowMs: number
  #setByMs = 0
  #order = 0
  readonly #timers = new Map<number, { dueMs: number; callback: () => void }>()

  /** `startMs`: milliseconds since the epoch. */
  constructor(startMs: number = TEST_START_MS) {
    this.#startMs = startMs
    this.#nowMs = startMs
  }

  now(): number {
    return this.#nowMs + this.#setByMs
  }

  monotonic(): number {
    return this.#nowMs - this.#startMs
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const order = this.#order
    this.#order += 1
    this.#timers.set(order, { dueMs: this.#nowMs + Math.max(0, delayMs), callback })
    return { clear: () => this.#timers.delete(order) }
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, delayMs, signal)
  }

  /** Sets the clock: what it says changes, and no time passes. */
  set(byMs: number): void {
    this.#setByMs += byMs
  }

  /** How many timers wait. */
  get pending(): number {
    return this.#timers.size
  }

  /** Moves the time on by `ms`, firing every timer that falls due, in the order of their times (of their setting when
   *  equal), each at its own time. Between two timers the event loop turns once, so that promises that one resolved
   *  may set the next. Does not wait for input and output. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    await nextTurn()
    for (;;) {
      const next = this.#earliest(endMs)
      if (next === null) break
      this.#timers.delete(next.order)
      this.#nowMs = Math.max(this.#nowMs, next.dueMs)
      next.callback()
      await nextTurn()
    }
    this.#nowMs = Math.max(this.#nowMs, endMs)
  }

  #earliest(limitMs: number): { order: number; dueMs: number; callback: () => void } | null {
    let earliest: { order: number; dueMs: number; callback: () => void } | null = null
    for (const [order, timer] of this.#timers) {
      // The map is in order of setting, so a strict comparison keeps the first of two equals.
      if (timer.dueMs <= limitMs && (earliest === null || timer.dueMs < earliest.dueMs)) earliest = { order, ...timer }
    }
    return earliest
  }
}
