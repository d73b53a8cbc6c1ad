import { type Context } from '../context.ts'
import { MatrixError, notFound } from '../errors.ts'
import { type JsonObject } from '../protocol/json.ts'
import { clockWatch } from '../retention/clock-watch.ts'
import { sweep } from '../retention/sweeper.ts'
import { jobOf } from '../storage/background-jobs.ts'
import { type JobKind, orderJob } from './jobs.ts'

const kind = 'sweep'

/** Orders that the sweeper look through everything now. Returns the job's ID. */
export function orderSweep(ctx: Context, caller: { readonly userNumber: number }): Promise<string> {
  return orderJob(ctx, { kind, userNumber: caller.userNumber, target: ctx.serverName, request: {} })
}

/** How an ordered sweep stands, with how many things of each kind it deleted. Throws `notFound`. */
export async function sweepOrderStatus(ctx: Context, jobId: string): Promise<JsonObject> {
  const job = await jobOf(ctx.db.kysely, ctx.numbers.sealer, jobId, [kind])
  if (!job) throw notFound('There is no such sweep')
  const { status, failure, progress } = job
  return { status, deleted: progress['deleted'] ?? {}, ...(failure === null ? {} : { error: failure }) }
}

/** The work itself: one sweep, begun after it was ordered. */
export const sweepJob: JobKind = {
  async step(ctx) {
    if (!(await clockWatch(ctx).isTrusted())) {
      throw new MatrixError(
        'M_UNKNOWN',
        'The clock of the server jumped, so nothing is deleted until it is trusted again',
      )
    }
    const swept = await sweep(ctx)
    return swept ? { progress: { deleted: { ...swept.byKind } }, isDone: true } : 'later'
  },
}
