import { type Context } from '../context.ts'
import { MatrixError, notFound } from '../errors.ts'
import { describeError } from '../log.ts'
import { whileAlone } from '../storage/advisory-lock.ts'
import { endJob, type Job, jobOf, nextJob, noteProgress, placeForJob } from '../storage/background-jobs.ts'
import { DatabaseError, transaction, type Tx } from '../storage/database.ts'
import { deleteRoomJob } from './delete-room.ts'
import { firstRestMs, jobRests, restAfter } from './job-rests.ts'
import { Bell, endBells, jobBell, type JobKind, type NoteProgress } from './jobs.ts'
import { purgeHistoryJob } from './purge-history.ts'
import { redactUserJob } from './redact-user.ts'
import { sweepJob } from './sweep-now.ts'

/** How often a process looks for jobs that another one was given, or has left behind. */
const lookIntervalMs = 30_000

const kinds: Readonly<Record<string, JobKind>> = {
  delete_room: deleteRoomJob,
  purge_history: purgeHistoryJob,
  redact_user: redactUserJob,
  sweep: sweepJob,
}

/** How often it is looked whether another process has finished a job that a request waits for. */
const lookAgainMs = 500
/** How long a request waits for the end of a job at most. */
const patienceMs = 10 * 60_000

/**
 * Waits until a job has come to its end, and works at it unless somebody else does. Throws what the job failed with, and M_UNKNOWN
 * if it takes longer than ten minutes: then it goes on.
 */
export async function finishJob(ctx: Context, jobId: string): Promise<Job> {
  const bell = new Bell()
  endBells(ctx).add(bell)
  try {
    const since = ctx.clock.monotonic()
    while (!ctx.shutdown.aborted && ctx.clock.monotonic() - since < patienceMs) {
      const job = await jobOf(ctx.db.kysely, ctx.numbers.sealer, jobId, Object.keys(kinds))
      if (!job) throw notFound('There is no such job')
      if (job.status === 'failed') throw new MatrixError('M_UNKNOWN', job.failure ?? 'The job failed')
      if (job.status === 'complete') return job
      await whileAlone(ctx.db, 'background_jobs', () => workOff(ctx, ctx.shutdown))
      // It has rung already if the job was brought to its end here.
      await bell.wait(ctx, lookAgainMs, ctx.shutdown)
    }
    throw new MatrixError('M_UNKNOWN', 'It takes longer than a request may; the job goes on')
  } finally {
    endBells(ctx).delete(bell)
  }
}

/** Does what administrators have ordered, one job after another, while the server runs. */
export const backgroundJobs = {
  name: 'background jobs',
  start(ctx: Context): () => Promise<void> {
    const stopping = new AbortController()
    const running = workOnAndOn(ctx, stopping.signal)
    return async () => {
      stopping.abort()
      await running
    }
  },
}

async function workOnAndOn(ctx: Context, signal: AbortSignal): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    let waitMs = lookIntervalMs
    try {
      const untilNextMs = await whileAlone(ctx.db, 'background_jobs', () => workOff(ctx, signal))
      if (untilNextMs !== null) waitMs = Math.min(waitMs, Math.max(untilNextMs, firstRestMs))
      failures = 0
    } catch (error) {
      // What was begun stands where its last step left it, and is taken up again.
      ctx.logger.warn('Background work was broken off', { component: 'background jobs', ...describeError(error) })
      failures++
      waitMs = restAfter(failures)
    }
    await jobBell(ctx).wait(ctx, waitMs, signal)
  }
}

/**
 * Works until nothing is left to do but what rests, or the signal is given: then a job stays where it is. Returns the milliseconds
 * until the first that rests is to be taken up again; infinite when none does.
 */
async function workOff(ctx: Context, signal: AbortSignal): Promise<number> {
  const rests = jobRests(ctx)
  for (;;) {
    const nowMs = ctx.clock.monotonic()
    const job = await nextJob(ctx.db.kysely, ctx.numbers.sealer, rests.resting(nowMs))
    if (!job) rests.endRested(nowMs)
    if (!job || signal.aborted) return rests.untilNext(ctx.clock.monotonic())
    await work(ctx, job, signal)
  }
}

/** Works at one job, until its end or an obstacle. */
async function work(ctx: Context, job: Job, signal: AbortSignal): Promise<void> {
  let { progress } = job
  const { sealer } = ctx.numbers
  const rests = jobRests(ctx)
  // One that was ordered before anything was sealed has none.
  const place = job.place ?? placeForJob(sealer)
  const note: NoteProgress = (tx, next) => noteProgress(tx, sealer, job, place, next)
  const end = async (failure: string | null, also: (tx: Tx) => Promise<void> = () => Promise.resolve()) => {
    await transaction(ctx.db, async tx => {
      await also(tx)
      await endJob(tx, job.jobId, ctx.clock.now(), failure)
    })
    rests.end(job.jobId)
    for (const bell of endBells(ctx)) bell.ring()
  }
  try {
    const kind = kinds[job.kind]
    if (!kind) return await end('This version of the server does not know such work')
    if (job.status === 'scheduled') await transaction(ctx.db, tx => note(tx, progress))
    while (!signal.aborted) {
      const step = await kind.step(ctx, { ...job, progress }, note)
      if (step === 'later') {
        if (!rests.begin(job.jobId, ctx.clock.monotonic())) await end('Other work was in its way for too long')
        return
      }
      const noteStep = (tx: Tx) => (step.isNoted === true ? Promise.resolve() : note(tx, step.progress))
      if (step.isDone) return await end(null, noteStep)
      if (step.isNoted !== true) await transaction(ctx.db, noteStep)
      ;({ progress } = step)
      rests.end(job.jobId)
    }
  } catch (error) {
    if (isPassing(error) && rests.begin(job.jobId, ctx.clock.monotonic())) {
      ctx.logger.warn('Background work met an obstacle', { component: 'background jobs', ...describeError(error) })
      return
    }
    if (!(error instanceof MatrixError)) {
      ctx.logger.error('Background work failed', { component: 'background jobs', ...describeError(error) })
    }
    await end(error instanceof MatrixError ? error.message : 'An error of the server; its log says which')
  }
}

/** Whether the same step may succeed in a moment. */
function isPassing(error: unknown): boolean {
  return (error instanceof DatabaseError || error instanceof MatrixError) && error.isPassing
}
