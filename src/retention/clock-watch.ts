import { type Context, perServer } from '../context.ts'
import { newestLogDay } from '../storage/sweep-rows.ts'

/** How far the clock may be set, against the time that has passed, before it is doubted. */
const toleratedJumpMs = 60 * 60 * 1000
/** How long a clock that was set must go on from there before it is believed: long enough for whatever sets clocks right. */
const doubtMs = 60 * 60 * 1000
/** A server that starts doubts a clock that is so much ahead of the last sweep, or behind it: a machine may wake with any
 *  date. One that was merely switched off loses nothing but an hour. */
const toleratedPauseMs = 2 * 24 * 60 * 60 * 1000

/** What the clock says, less the time that has passed since some start: it changes only when the clock is set. */
type Offset = number

interface Doubt {
  readonly offset: Offset
  /** By the clock that never jumps. */
  readonly sinceMs: number
}

/** Watches whether the clock was set far, so that nothing is deleted for the sake of a wrong date. */
class ClockWatch {
  readonly #ctx: Context
  #trusted: Offset
  #doubt: Doubt | null = null
  #hasBegun = false

  constructor(ctx: Context) {
    this.#ctx = ctx
    this.#trusted = this.#offset()
  }

  /** Whether the time may be gone by; says so in the log when that changes. */
  async isTrusted(): Promise<boolean> {
    if (!this.#hasBegun) {
      if (await this.#isFarFromLastSweep()) this.#begin('The clock is far from the last sweep')
      this.#hasBegun = true
    }
    const offset = this.#offset()
    const isWhereDoubted = this.#doubt !== null && Math.abs(offset - this.#doubt.offset) <= toleratedJumpMs
    if (this.#doubt !== null && isWhereDoubted) {
      if (this.#ctx.clock.monotonic() - this.#doubt.sinceMs < doubtMs) return false
      this.#ctx.logger.warn('The clock has stayed where it was set: the sweeper goes by it', { component: 'sweeper' })
    } else if (Math.abs(offset - this.#trusted) > toleratedJumpMs) {
      this.#begin('The clock was set by more than an hour')
      return false
    }
    this.#doubt = null
    this.#trusted = offset
    return true
  }

  #begin(reason: string): void {
    this.#doubt = { offset: this.#offset(), sinceMs: this.#ctx.clock.monotonic() }
    this.#ctx.logger.warn(`${reason}: nothing is deleted until it has stayed there for an hour`, {
      component: 'sweeper',
    })
  }

  async #isFarFromLastSweep(): Promise<boolean> {
    const day = await newestLogDay(this.#ctx.db.kysely)
    if (day === null) return false
    const sinceMs = this.#ctx.clock.now() - Date.parse(day)
    return sinceMs < 0 || sinceMs > toleratedPauseMs
  }

  #offset(): Offset {
    return this.#ctx.clock.now() - this.#ctx.clock.monotonic()
  }
}

/** The watch of a server. It trusts the clock as it is when it is first asked for. */
export const clockWatch = perServer(ctx => new ClockWatch(ctx))
