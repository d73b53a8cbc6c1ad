import { type Context, perServer } from '../context.ts'
import { type JsonObject } from '../protocol/json.ts'
import { insertJob, type Job } from '../storage/background-jobs.ts'
import { transaction, type Tx } from '../storage/database.ts'

/** What one step of a job came to; `later` if others were at what it needs, and nothing was done. */
export type JobStep = StepTaken | 'later'

export interface StepTaken {
  /** How far the job has come: what the next step is given. It stands in the database before that begins. */
  readonly progress: JsonObject
  readonly isDone: boolean
  /** Whether the step has written that down itself. */
  readonly isNoted?: boolean
}

/** Writes down how far a job has come in the transaction that brings it there. */
export type NoteProgress = (tx: Tx, progress: JsonObject) => Promise<void>

/**
 * A kind of work. A step takes a moment and may be done twice, if the process dies before its progress is written down: so it
 * either notes that in its own transaction, or finds what it did before. A `MatrixError` ends the job as failed; what passes,
 * be it an error of the database, only lets it rest.
 */
export interface JobKind {
  readonly step: (ctx: Context, job: Job, note: NoteProgress) => Promise<JobStep>
}

/** What the loop waits for besides the time. */
export class Bell {
  #rings = false
  #waiting: AbortController | null = null

  ring(): void {
    this.#rings = true
    this.#waiting?.abort()
  }

  /** Resolves at the next ring (or at once, if one was missed), after the time, or when the signal says so. */
  async wait(ctx: Context, timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (!this.#rings && !signal.aborted) {
      const waiting = new AbortController()
      this.#waiting = waiting
      // It rejects for no other reason than that one of the two signals was given.
      await ctx.clock.sleep(timeoutMs, AbortSignal.any([waiting.signal, signal])).catch(() => undefined)
      this.#waiting = null
    }
    this.#rings = false
  }
}

/** Rings when this process has ordered a job. */
export const jobBell = perServer(() => new Bell())

/** Rings when this process has brought a job to its end, for those who wait for one. */
export const endBells = perServer(() => new Set<Bell>())

const jobIdLetters = 16

/** Orders work; returns the job's ID. `also` is done in the same transaction. */
export async function orderJob(
  ctx: Context,
  job: {
    readonly kind: string
    readonly userNumber: number | null
    readonly target: string
    readonly request: JsonObject
  },
  also: (tx: Tx) => Promise<void> = () => Promise.resolve(),
): Promise<string> {
  const jobId = ctx.random.letters(jobIdLetters)
  await transaction(ctx.db, async tx => {
    await also(tx)
    await insertJob(tx, ctx.numbers.sealer, { jobId, ...job, createdTs: ctx.clock.now() })
  })
  jobBell(ctx).ring()
  return jobId
}
