/** A timer that has been set and can be called off. */
export interface Timer {
  /** Calls the timer off. Harmless when it has fired already. */
  clear(): void
}

/** Where the server gets the time from. Nothing else may read a clock, so that tests can set it. */
export interface Clock {
  /** Milliseconds since the Unix epoch; may jump when the system's time is set. */
  now(): number
  /** Milliseconds from an arbitrary start; never jumps. Only differences mean anything. */
  monotonic(): number
  /** Calls `callback` once, not before `delayMs` have passed. Any delay is allowed, beyond the 24.8 days of Node's own too. */
  setTimeout(callback: () => void, delayMs: number): Timer
  /** Resolves after `delayMs`. Rejects with the signal's reason when `signal` aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>
}

/** Node fires a longer timer at once; longer delays are made of several. */
const LONGEST_NODE_TIMER_MS = 2 ** 31 - 1

/** `Clock.sleep` for any clock that has a `setTimeout`. */
export function sleepOn(clock: Pick<Clock, 'setTimeout'>, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error) // An AbortSignal's reason is what its owner gave to abort(): by convention an Error.
      return
    }
    const abort = (): void => {
      timer.clear()
      reject(signal?.reason as Error) // As above.
    }
    const timer = clock.setTimeout(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }, delayMs)
    signal?.addEventListener('abort', abort, { once: true })
  })
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout(callback, delayMs) {
    const dueMs = performance.now() + delayMs
    let handle: NodeJS.Timeout
    const arm = (remainingMs: number): void => {
      if (remainingMs <= LONGEST_NODE_TIMER_MS) handle = setTimeout(callback, Math.max(0, remainingMs))
      else handle = setTimeout(() => arm(dueMs - performance.now()), LONGEST_NODE_TIMER_MS)
    }
    arm(delayMs)
    return { clear: () => clearTimeout(handle) }
  },
  sleep: (delayMs, signal) => sleepOn(systemClock, delayMs, signal),
}
