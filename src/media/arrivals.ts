import { type RequestEnd } from '../http/endpoint.ts'
import { type Context, perServer } from '../context.ts'
import { type MediaId } from '../protocol/media-id.ts'

/** Another process may have taken the upload, so the database is asked this often. */
const pollIntervalMs = 1_000
/** How many requests may wait for uploads at a time. */
const waiterLimit = 1_000

interface Waiters {
  readonly byMedia: Map<MediaId, Set<() => void>>
  count: number
}

const waitersOf = perServer((): Waiters => ({ byMedia: new Map(), count: 0 }))

/** Wakes those who wait for this upload. */
export function announceArrival(ctx: Context, mediaId: MediaId): void {
  for (const wake of [...(waitersOf(ctx).byMedia.get(mediaId) ?? [])]) wake()
}

/**
 * Waits for an upload: calls `look` now, and again whenever there may be news, until it returns something else than `null`.
 * `null` after `timeoutMs`, when the request ends, or at once when too many wait already.
 */
export async function awaitArrival<T>(
  ctx: Context,
  mediaId: MediaId,
  timeoutMs: number,
  end: RequestEnd,
  look: () => Promise<T | null>,
): Promise<T | null> {
  const waiters = waitersOf(ctx)
  const deadline = ctx.clock.monotonic() + timeoutMs
  for (;;) {
    const leftMs = deadline - ctx.clock.monotonic()
    const mayWait = leftMs > 0 && !end.isOver && waiters.count < waiterLimit
    // Interest is registered before looking, so that an upload that arrives in between is not missed.
    const news = mayWait ? listen(ctx, waiters, mediaId, Math.min(leftMs, pollIntervalMs), end) : null
    try {
      const found = await look()
      if (found !== null || news === null) return found
      await news.promise
    } finally {
      news?.stop()
    }
  }
}

/** `promise` resolves when the upload is announced, after `delayMs`, or when the request ends. */
function listen(ctx: Context, waiters: Waiters, mediaId: MediaId, delayMs: number, end: RequestEnd) {
  const { promise, resolve } = Promise.withResolvers<void>()
  const wake = () => resolve()
  const timer = ctx.clock.setTimeout(wake, delayMs)
  const ignoreEnd = end.listen(wake)
  const wakers = waiters.byMedia.get(mediaId) ?? new Set()
  waiters.byMedia.set(mediaId, wakers)
  wakers.add(wake)
  waiters.count += 1
  return {
    promise,
    stop() {
      timer.clear()
      ignoreEnd()
      wakers.delete(wake)
      if (wakers.size === 0 && waiters.byMedia.get(mediaId) === wakers) waiters.byMedia.delete(mediaId)
      waiters.count -= 1
    },
  }
}
