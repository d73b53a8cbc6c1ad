import { Counter, Gauge, type Registry } from 'prom-client'
import { type Context } from '../context.ts'
import { DatabaseError } from '../storage/database.ts'
import { type SweepStatus, sweepStatus } from './status.ts'
import { sweepMemory, sweptKinds } from './sweeper.ts'

/** While the database is away nobody knows; the other metrics are told all the same. */
function lost(error: unknown): null {
  if (error instanceof DatabaseError && error.isUnavailable) return null
  throw error
}

/** What is due is asked of the database at most so often, however often the metrics are. */
const freshMs = 15_000

/** Adds what the sweeper does. The first five are of this process, the last two of the whole deployment. */
export function addSweepMetrics(registry: Registry, ctx: Context): void {
  const memory = sweepMemory(ctx)
  const registers = [registry]
  new Counter({
    name: 'lethe_sweeps_total',
    help: 'Sweeps that this process brought to their end.',
    registers,
    collect() {
      this.reset()
      this.inc(memory.sweeps)
    },
  })
  new Counter({
    name: 'lethe_sweep_failures_total',
    help: 'Sweeps of this process that did not come to their end.',
    registers,
    collect() {
      this.reset()
      this.inc(memory.failures)
    },
  })
  new Counter({
    name: 'lethe_swept_total',
    help: 'What this process deleted, by kind; messages that a room is built on and old state are pruned.',
    labelNames: ['kind'] as const,
    registers,
    collect() {
      this.reset()
      for (const kind of sweptKinds) this.inc({ kind }, memory.total[kind])
    },
  })
  new Gauge({
    name: 'lethe_sweep_last_end_timestamp_seconds',
    help: 'When the last sweep of this process came to its end; 0 before the first.',
    registers,
    collect() {
      this.set((memory.lastEndedTs ?? 0) / 1000)
    },
  })
  new Gauge({
    name: 'lethe_sweep_last_duration_seconds',
    help: 'How long the last sweep of this process took; 0 before the first.',
    registers,
    collect() {
      this.set((memory.lastDurationMs ?? 0) / 1000)
    },
  })
  let asked: { readonly at: number; readonly status: Promise<SweepStatus | null> } | null = null
  const status = () => {
    const at = ctx.clock.monotonic()
    if (!asked || at - asked.at >= freshMs) asked = { at, status: sweepStatus(ctx).catch(lost) }
    return asked.status
  }
  new Gauge({
    name: 'lethe_sweep_due',
    help: 'Messages that have come to their end and are still stored, counted up to 100,000.',
    registers,
    async collect() {
      const known = await status()
      if (known) this.set(known.due)
    },
  })
  new Gauge({
    name: 'lethe_sweep_oldest_due_seconds',
    help: 'For how long the oldest of them has been due.',
    registers,
    async collect() {
      const known = await status()
      if (known) this.set(known.oldestDueTs === null ? 0 : (ctx.clock.now() - known.oldestDueTs) / 1000)
    },
  })
}
