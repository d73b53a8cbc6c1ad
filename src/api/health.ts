import { unavailable } from '../errors.ts'
import { endpoint } from '../http/endpoint.ts'
import { DatabaseError } from '../storage/database.ts'
import { pingDatabase } from '../storage/server-row.ts'

/** Answers for as long as the event loop turns: a database that is away is no reason to start the process anew. */
export const live = endpoint({
  method: 'GET',
  path: '/health/live',
  auth: 'none',
  limit: null,
  handle: () => ({ status: 'ok' }),
})

/** Whether requests should come here: the database answers, and the server is not shutting down. */
export const ready = endpoint({
  method: 'GET',
  path: '/health/ready',
  auth: 'none',
  limit: null,
  handle: async ctx => {
    if (ctx.shutdown.aborted) throw unavailable('The server is shutting down')
    try {
      await pingDatabase(ctx.db.kysely)
    } catch (error) {
      if (error instanceof DatabaseError) throw unavailable('The database does not answer')
      throw error
    }
    return { status: 'ok' }
  },
})
