import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer } from './connection.ts'
import { retryAfterMs, describeRefusal } from './answers.ts'

/** What happened during one stretch of load. Times in milliseconds. */
export type LoadSample = {
  /** How long each success took, unordered. */
  readonly latenciesMs: number[]
  readonly elapsedMs: number
  readonly errors: number
  /** How many of the errors were 429. */
  readonly rateLimited: number
  /** The first failure, in words; `null` if there was none. */
  readonly firstError: string | null
}

/** The time source and the waiting of the open loop; injected so that tests can run it on a clock of their own. */
export type Pacing = {
  readonly nowMs: () => number
  readonly sleep: (durationMs: number) => Promise<void>
}

/** Real time. */
export const realPacing: Pacing = {
  nowMs: () => performance.now(),
  sleep: async durationMs => {
    await sleep(durationMs)
  },
}

/** The longest that a worker waits when it is told to slow down; the window goes on meanwhile. */
const backOffLimitMs = 1_000
/** The wait after a failure, so that a broken server is not hammered. */
const failurePauseMs = 10

/**
 * Closed loop: each of `workers` starts its next operation when the one before is answered, until `durationMs` have
 * passed or `operation` answers `null` (nothing left to do). An operation counts as done on any 2xx; everything else
 * counts as an error and its time is left out of the latencies.
 */
export async function closedLoop(load: {
  readonly workers: number
  readonly durationMs: number
  readonly operation: (worker: number) => Promise<Answer> | null
}): Promise<LoadSample> {
  const latenciesMs: number[] = []
  const failures = new Failures()
  const startedMs = performance.now()
  const untilMs = startedMs + load.durationMs
  const work = async (worker: number): Promise<void> => {
    for (let begunMs = performance.now(); begunMs < untilMs; begunMs = performance.now()) {
      const pending = load.operation(worker)
      if (pending === null) return
      const pauseMs = await failures.watch(pending, answer => latenciesMs.push(answer.endedMs - begunMs))
      if (pauseMs > 0) await sleep(pauseMs)
    }
  }
  await Promise.all(Array.from({ length: load.workers }, (_, worker) => work(worker)))
  return { latenciesMs, elapsedMs: performance.now() - startedMs, ...failures.summary() }
}

/** Counts what went wrong, and says how long to wait before the next try. */
export class Failures {
  #errors = 0
  #rateLimited = 0
  #firstError: string | null = null

  /** Waits for an answer; a 2xx goes to `onSuccess`. Returns the pause in ms that the outcome asks for. Never throws. */
  async watch(pending: Promise<Answer>, onSuccess: (answer: Answer) => void): Promise<number> {
    let answer: Answer
    try {
      answer = await pending
    } catch (error) {
      // A lost connection is one failed operation, counted and reported, not the end of the run.
      this.add(error instanceof Error ? error.message : 'no answer')
      return failurePauseMs
    }
    if (answer.status >= 200 && answer.status < 300) {
      onSuccess(answer)
      return 0
    }
    this.add(describeRefusal(answer))
    if (answer.status !== 429) return failurePauseMs
    this.#rateLimited += 1
    return Math.min(retryAfterMs(answer), backOffLimitMs)
  }

  /** Counts one failure described by `reason`. */
  add(reason: string): void {
    this.#errors += 1
    this.#firstError ??= reason
  }

  summary(): { errors: number; rateLimited: number; firstError: string | null } {
    return { errors: this.#errors, rateLimited: this.#rateLimited, firstError: this.#firstError }
  }
}

/** A message may leave this much before its time, since timers tick in milliseconds; it then counts from when it left. */
const earlyMs = 0.5

/**
 * Open loop: starts `count` operations at `perSecond`, each at its own appointed time, whether or not those before it
 * were answered. `fire` gets the operation's index and the time from which its latency counts: the appointed time, or
 * the present where it left up to half a millisecond early. So when server or generator stall, the wait of everything
 * that was due meanwhile is counted (no coordinated omission), and none of it is left out.
 * `fire` must not block and must not throw. Returns the largest lateness of the generator itself in ms.
 */
export async function openLoop(
  load: {
    readonly perSecond: number
    readonly count: number
    readonly fire: (index: number, countsFromMs: number) => void
  },
  pacing: Pacing = realPacing,
): Promise<{ readonly worstLatenessMs: number }> {
  const startMs = pacing.nowMs()
  let worstLatenessMs = 0
  for (let index = 0; index < load.count;) {
    const appointedMs = startMs + (index * 1_000) / load.perSecond
    const nowMs = pacing.nowMs()
    if (appointedMs - nowMs > earlyMs) {
      await pacing.sleep(Math.max(1, Math.floor(appointedMs - nowMs)))
      continue
    }
    worstLatenessMs = Math.max(worstLatenessMs, nowMs - appointedMs)
    load.fire(index, Math.min(appointedMs, nowMs))
    index += 1
  }
  return { worstLatenessMs }
}

/** Runs `each` over the items, at most `width` at a time; the results keep the items' order. Stops at the first error. */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  width: number,
  each: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const remaining = items.entries()
  let isStopped = false
  const work = async (): Promise<void> => {
    // The workers share one iterator, so each item is taken once.
    for (const [index, item] of remaining) {
      if (isStopped) return
      try {
        results[index] = await each(item, index)
      } catch (error) {
        isStopped = true
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, work))
  return results
}
