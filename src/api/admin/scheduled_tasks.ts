import { integer, oneOf, optional, string } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'
import { jobs } from '../../storage/background-jobs.ts'

// Nothing is ever cancelled here, but it may be asked for.
const status = oneOf('scheduled', 'active', 'complete', 'cancelled', 'failed')

/** The work that administrators ordered, with how far it has come. https://element-hq.github.io/synapse/latest/admin_api/scheduled_tasks.html */
export const getScheduledTasks = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/scheduled_tasks',
  auth: 'admin',
  limit: 'light',
  query: {
    action_name: optional(string),
    resource_id: optional(string),
    status: optional(status),
    // What `status` was called before.
    job_status: optional(status),
    max_timestamp: optional(integer({ min: 0 })),
  },
  handle: async (ctx, { query }) => {
    const wanted = {
      kind: query.action_name ?? null,
      status: query.status ?? query.job_status ?? null,
      target: query.resource_id ?? null,
      untilTs: query.max_timestamp ?? null,
      limit: 1_000,
    }
    const found = await jobs(ctx.db.kysely, ctx.numbers.sealer, wanted)
    return {
      scheduled_tasks: found.map(job => ({
        id: job.jobId,
        action: job.kind,
        status: job.status,
        timestamp_ms: job.endedTs ?? job.createdTs,
        resource_id: job.target,
        result: job.progress,
        error: job.failure,
      })),
    }
  },
})
