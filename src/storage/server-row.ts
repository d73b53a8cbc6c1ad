import { sql } from 'kysely'
import { type Database, type Reader } from './database.ts'

/** What a database says of the server it belongs to. */
export interface ServerRow {
  readonly serverName: string
}

/** The server that the database belongs to; an empty database is given to the one that asks. */
export async function claimDatabase(db: Database, claim: ServerRow): Promise<ServerRow> {
  await db.kysely
    .insertInto('server')
    .values({ server_name: claim.serverName })
    .onConflict(conflict => conflict.doNothing())
    .execute()
  const row = await db.kysely.selectFrom('server').select('server_name').executeTakeFirstOrThrow()
  return { serverName: row.server_name }
}

/** True when the database holds events, which somebody's key has signed. */
export async function hasEvents(reader: Reader): Promise<boolean> {
  const row = await reader.selectFrom('events').select('event_number').limit(1).executeTakeFirst()
  return row !== undefined
}

/** Resolves when the database answers; throws `DatabaseError` when it does not. */
export async function pingDatabase(reader: Reader): Promise<void> {
  await reader.selectNoFrom(sql<number>`1`.as('answer')).execute()
}
