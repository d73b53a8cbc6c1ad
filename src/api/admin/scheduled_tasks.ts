import { oneOf, optional, string } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'
import { jobs } from '../../storage/background-jobs.ts'

/** The work that administrators ordered, with how far it has come. https://element-hq.github.io/synapse/latest/admin_api/scheduled_tasks.html */
export const getScheduledTasks = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/scheduled_tasks',
  auth: 'admin',
  limit: 'light',
  query: {
    resource_id: optional(string),
    job_status: optional(oneOf('scheduled', 'active', 'complete', 'failed')),
  },
  handle: async (ctx, { query }) => {
    const wanted = { status: query.job_status ?? null, target: query.resource_id ?? null, limit: 1_000 }
    const found = await jobs(ctx.db.kysely, ctx.numbers.sealer, wanted)
    return {
      scheduled_tasks: found.map(job => ({
        id: job.jobId,
        action: job.kind,
        status: job.status,
        timestamp_ms: job.createdTs,
        resource_id: job.target,
        result: job.progress,
        ...(job.failure === null ? {} : { error: job.failure }),
      })),
    }
  },
})
