import { perServer } from '../context.ts'

/** How long work rests that met an obstacle which passes: at first, and at most; each time twice as long. */
export const firstRestMs = 250
const longestRestMs = 30_000
/** After so many attempts in a row, about an hour, an obstacle does not pass. */
const attemptLimit = 128

/** For how long work rests that has failed so many times in a row. */
export function restAfter(failures: number): number {
  return Math.min(firstRestMs * 2 ** Math.min(failures - 1, 16), longestRestMs)
}

/** The jobs that met obstacles, by ID, so that others are not kept waiting. What is forgotten with the process is tried anew. */
export class JobRests {
  readonly #rests = new Map<string, { readonly failures: number; readonly untilMs: number }>()

  /** Lets a job rest. False when it has been tried often enough. */
  begin(jobId: string, nowMs: number): boolean {
    const failures = (this.#rests.get(jobId)?.failures ?? 0) + 1
    this.#rests.set(jobId, { failures, untilMs: nowMs + restAfter(failures) })
    return failures < attemptLimit
  }

  /** A job got further, or came to its end. */
  end(jobId: string): void {
    this.#rests.delete(jobId)
  }

  /** The jobs that are not to be taken up yet. */
  resting(nowMs: number): string[] {
    return [...this.#rests].flatMap(([jobId, { untilMs }]) => (untilMs > nowMs ? [jobId] : []))
  }

  /** Forgets those that are to be taken up but are no more there, another process having ended them. */
  endRested(nowMs: number): void {
    for (const [jobId, { untilMs }] of this.#rests) if (untilMs <= nowMs) this.#rests.delete(jobId)
  }

  /** Milliseconds until the next job is to be taken up again; infinite when none rests. */
  untilNext(nowMs: number): number {
    return Math.min(...[...this.#rests.values()].map(({ untilMs }) => Math.max(untilMs - nowMs, 0)))
  }
}

/** Times are of the clock that never jumps. */
export const jobRests = perServer(() => new JobRests())
