import { ScenarioError } from './errors.ts'

/** Node's own measurement looks every so often: an idle loop reads as this. */
const resolutionMs = 10

/**
 * For how long the event loop of a server on Node has stood still at most since this was asked last, in milliseconds, by the
 * metrics that it tells; `null` where it tells none. Throws `ScenarioError` if what answers there has no such metric.
 */
export async function longestStall(metricsUrl: URL | null): Promise<number | null> {
  if (metricsUrl === null) return null
  const answer = await fetch(metricsUrl)
  const seconds = stallIn(await answer.text())
  if (seconds === null) throw new ScenarioError('--metrics-url tells nothing of the event loop')
  return Math.max(0, seconds * 1_000 - resolutionMs)
}

/** The longest lag in metrics as Prometheus reads them, in seconds. */
export function stallIn(metrics: string): number | null {
  const line = /^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(metrics)
  const seconds = Number(line?.[1])
  return Number.isFinite(seconds) ? seconds : null
}
