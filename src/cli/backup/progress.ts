import { systemClock } from '../../clock.ts'

/** How often it is told how far the work is: on a terminal, and elsewhere. */
const terminalIntervalMs = 500
const logIntervalMs = 10_000

/** Tells on the standard error how far a long work has come: how much of how much, how fast, and how long it will take. */
export class Progress {
  readonly #isJson: boolean
  readonly #isTerminal = process.stderr.isTTY
  #what = ''
  #unit = ''
  #total = 0
  #done = 0
  #startedMs = 0
  #toldMs = 0

  constructor(isJson: boolean) {
    this.#isJson = isJson
  }

  /** Begins a part of the work. */
  begin(what: string, total: number, unit: string): void {
    this.end()
    this.#what = what
    this.#unit = unit
    this.#total = total
    this.#done = 0
    this.#startedMs = this.#toldMs = systemClock.monotonic()
  }

  add(count: number): void {
    this.#done += count
    const nowMs = systemClock.monotonic()
    if (nowMs - this.#toldMs < (this.#isTerminal && !this.#isJson ? terminalIntervalMs : logIntervalMs)) return
    this.#toldMs = nowMs
    this.#tell(nowMs)
  }

  /** Clears the line. */
  end(): void {
    if (this.#isTerminal && !this.#isJson && this.#what !== '') process.stderr.write('\r\x1b[K')
    this.#what = ''
  }

  #tell(nowMs: number): void {
    const perSecond = (this.#done / Math.max(nowMs - this.#startedMs, 1)) * 1_000
    const remainingS = perSecond > 0 ? Math.max(0, Math.ceil((this.#total - this.#done) / perSecond)) : null
    if (this.#isJson) {
      const progress = { what: this.#what, done: this.#done, total: this.#total, unit: this.#unit, per_second: Math.round(perSecond), remaining_s: remainingS } // prettier-ignore
      process.stderr.write(`${JSON.stringify({ progress })}\n`)
      return
    }
    const number = (value: number) => Math.round(value).toLocaleString('en-GB')
    const rest = remainingS === null ? '' : `, about ${number(remainingS)} s left`
    const line = `${this.#what}: ${number(this.#done)} of ${number(this.#total)} ${this.#unit}, ${number(perSecond)} a second${rest}` // prettier-ignore
    process.stderr.write(this.#isTerminal ? `\r\x1b[K${line}` : `${line}\n`)
  }
}
