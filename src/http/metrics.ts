import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

/** Counts of requests, for Prometheus. Labels come from the declarations alone, never from what was requested. */
export interface RequestMetrics {
  readonly registry: Registry
  /** For one endpoint: call the result once for each answer. */
  forEndpoint(endpoint: string, method: string): (status: number, durationMs: number) => void
}

/** Upper bounds of the histogram's buckets, in seconds. Long polls fall into the last ones. */
const durationBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/** Metrics of one server, in a registry of their own: several servers may live in one process. */
export function createRequestMetrics(): RequestMetrics {
  const registry = new Registry()
  const requests = new Counter({
    name: 'lethe_http_requests_total',
    help: 'Answers by endpoint, method and class of status.',
    labelNames: ['endpoint', 'method', 'status'] as const,
    registers: [registry],
  })
  const durations = new Histogram({
    name: 'lethe_http_request_duration_seconds',
    help: 'Time from the head of a request to the head of its answer; long polls include their wait.',
    labelNames: ['endpoint', 'method'] as const,
    buckets: durationBuckets,
    registers: [registry],
  })
  return {
    registry,
    forEndpoint(endpoint, method) {
      const duration = durations.labels(endpoint, method)
      const byClass = ['1xx', '2xx', '3xx', '4xx', '5xx'].map(status => ({ endpoint, method, status }))
      return (status, durationMs) => {
        const labels = byClass[Math.floor(status / 100) - 1]
        if (labels) requests.inc(labels)
        duration.observe(durationMs / 1000)
      }
    },
  }
}

/** Node's own metrics that look at every connection, one by one, whenever they are read: of ten thousand that keeps everybody
 *  waiting for 20 ms. */
const costlyMetrics = [
  'process_open_fds',
  'nodejs_active_handles',
  'nodejs_active_handles_total',
  'nodejs_active_requests',
  'nodejs_active_requests_total',
  'nodejs_active_resources',
  'nodejs_active_resources_total',
]

/** Adds what the process as a whole is doing (CPU, memory, event loop lag) and the log's head. */
export function addProcessMetrics(registry: Registry, logHead: () => number): void {
  collectDefaultMetrics({ register: registry })
  for (const name of costlyMetrics) registry.removeSingleMetric(name)
  new Gauge({
    name: 'lethe_log_head',
    help: 'The newest position of the log that this process has applied.',
    registers: [registry],
    collect() {
      this.set(logHead())
    },
  })
}
