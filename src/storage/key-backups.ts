import { sql } from 'kysely'
import { type RoomId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { type Reader, statement, type Tx } from './database.ts'
import { storedObject } from './stored-object.ts'

/** One version of a user's key backup. */
export interface KeyBackup {
  readonly version: number
  readonly algorithm: string
  readonly authData: JsonObject
  /** Counts the changes of its sessions. */
  readonly etag: number
  readonly sessionCount: number
}

/** A room key in a backup; what it says is encrypted for the user. */
export interface BackedUpSession {
  readonly roomId: RoomId
  readonly sessionId: string
  readonly firstMessageIndex: number
  readonly forwardedCount: number
  readonly isVerified: boolean
  /** JSON text of an object. */
  readonly sessionData: string
}

/** What a request is about: the whole backup, one room's keys, or one key. */
export interface SessionScope {
  readonly roomId: RoomId | null
  readonly sessionId: string | null
}

interface BackupRow {
  version: number
  algorithm: string
  auth_data: string
  etag: number
  session_count: number
  is_deleted: boolean
}

const columns = 'version, algorithm, auth_data, etag, session_count, is_deleted'

const current = statement<[number], BackupRow>(
  'key_backups_current',
  `SELECT ${columns} FROM key_backups WHERE user_number = $1 AND NOT is_deleted ORDER BY version DESC LIMIT 1`,
)

const ofVersion = statement<[number, number], BackupRow>(
  'key_backups_version',
  `SELECT ${columns} FROM key_backups WHERE user_number = $1 AND version >= $2 ORDER BY version LIMIT 1`,
)

function backupOfRow(row: BackupRow): KeyBackup {
  return {
    version: row.version,
    algorithm: row.algorithm,
    authData: storedObject(row.auth_data) ?? {},
    etag: row.etag,
    sessionCount: row.session_count,
  }
}

/** The newest version that was not deleted; `null` if the user has none. */
export async function currentBackup(reader: Reader, userNumber: number): Promise<KeyBackup | null> {
  const row = await current.first(reader, [userNumber])
  return row && backupOfRow(row)
}

/** `null` for a version that the user never made, `'deleted'` for one that was deleted. */
export async function backupOfVersion(
  reader: Reader,
  userNumber: number,
  version: number,
): Promise<KeyBackup | 'deleted' | null> {
  const row = await ofVersion.first(reader, [userNumber, version])
  if (!row) return null
  // Numbers are given out in order, so one that is missing below another was deleted.
  return row.version > version || row.is_deleted ? 'deleted' : backupOfRow(row)
}

/** Lets one transaction at a time change a user's backups; the others wait until it ends. */
export async function lockBackups(tx: Tx, userNumber: number): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(hashtext('key_backups'), ${userNumber})`.execute(tx)
}

/** Makes a new version, which is the current one from now on, and returns its number. The backups must be locked. */
export async function insertBackup(tx: Tx, userNumber: number, algorithm: string, authData: string): Promise<number> {
  const { rows } = await sql<{ version: number }>`
    INSERT INTO key_backups (user_number, version, algorithm, auth_data)
    SELECT ${userNumber}::integer, coalesce(max(version), 0) + 1, ${algorithm}, ${authData}
    FROM key_backups WHERE user_number = ${userNumber}
    RETURNING version`.execute(tx)
  const version = rows[0]?.version
  if (version === undefined) throw new Error('An INSERT gave no row')
  // The new row keeps the count of versions from now on.
  await tx
    .deleteFrom('key_backups')
    .where('user_number', '=', userNumber)
    .where('version', '<', version)
    .where('is_deleted', '=', true)
    .execute()
  return version
}

/** How many versions of a user's are not deleted. */
export async function countBackups(reader: Reader, userNumber: number): Promise<number> {
  const row = await reader
    .selectFrom('key_backups')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('user_number', '=', userNumber)
    .where('is_deleted', '=', false)
    .executeTakeFirst()
  return row?.count ?? 0
}

/** Replaces what a version says of its key; JSON text of an object. */
export async function updateBackup(tx: Tx, userNumber: number, version: number, authData: string): Promise<void> {
  await tx
    .updateTable('key_backups')
    .set({ auth_data: authData })
    .where('user_number', '=', userNumber)
    .where('version', '=', version)
    .where('is_deleted', '=', false)
    .execute()
}

/** Deletes a version's sessions and empties its row. The backups must be locked. */
export async function deleteBackup(tx: Tx, userNumber: number, version: number): Promise<void> {
  await tx
    .deleteFrom('backed_up_sessions')
    .where('user_number', '=', userNumber)
    .where('version', '=', version)
    .execute()
  await tx
    .updateTable('key_backups')
    .set({ is_deleted: true, algorithm: '', auth_data: '{}', session_count: 0 })
    .where('user_number', '=', userNumber)
    .where('version', '=', version)
    .execute()
}

/** What a change of the sessions left behind. */
export interface BackupCounts {
  readonly etag: number
  readonly sessionCount: number
}

async function countChange(
  tx: Tx,
  userNumber: number,
  version: number,
  isChanged: boolean,
  difference: number,
): Promise<BackupCounts> {
  const { rows } = await sql<{ etag: number; session_count: number }>`
    UPDATE key_backups SET etag = etag + ${isChanged ? 1 : 0}, session_count = session_count + ${difference}
    WHERE user_number = ${userNumber} AND version = ${version}
    RETURNING etag, session_count`.execute(tx)
  return { etag: rows[0]?.etag ?? 0, sessionCount: rows[0]?.session_count ?? 0 }
}

/**
 * Puts sessions into a version. One that is there already is replaced only by a better key: a verified one before one that
 * is not, then the one that starts at the lower message index, then the one that was forwarded less often. The etag
 * changes if anything did. The backups must be locked, and no session may come twice.
 * https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups
 */
export async function putSessions(
  tx: Tx,
  userNumber: number,
  version: number,
  sessions: readonly BackedUpSession[],
): Promise<BackupCounts> {
  const { rows } = await sql<{ inserted: boolean }>`
    INSERT INTO backed_up_sessions AS old (user_number, version, room_id, session_id, first_message_index, forwarded_count,
      is_verified, session_data)
    SELECT ${userNumber}::integer, ${version}::integer, * FROM unnest(${sessions.map(each => each.roomId)}::text[],
      ${sessions.map(each => each.sessionId)}::text[], ${sessions.map(each => each.firstMessageIndex)}::bigint[],
      ${sessions.map(each => each.forwardedCount)}::bigint[], ${sessions.map(each => each.isVerified)}::boolean[],
      ${sessions.map(each => each.sessionData)}::text[])
    ON CONFLICT (user_number, version, room_id, session_id) DO UPDATE SET
      first_message_index = excluded.first_message_index, forwarded_count = excluded.forwarded_count,
      is_verified = excluded.is_verified, session_data = excluded.session_data
    WHERE (NOT excluded.is_verified, excluded.first_message_index, excluded.forwarded_count)
      < (NOT old.is_verified, old.first_message_index, old.forwarded_count)
    RETURNING (old.xmax = 0) AS inserted`.execute(tx)
  const inserted = rows.filter(row => row.inserted).length
  return countChange(tx, userNumber, version, rows.length > 0, inserted)
}

/** Deletes the sessions of a scope from a version. The etag changes if any were there. The backups must be locked. */
export async function deleteSessions(
  tx: Tx,
  userNumber: number,
  version: number,
  scope: SessionScope,
): Promise<BackupCounts> {
  let query = tx.deleteFrom('backed_up_sessions').where('user_number', '=', userNumber).where('version', '=', version)
  if (scope.roomId !== null) query = query.where('room_id', '=', scope.roomId)
  if (scope.sessionId !== null) query = query.where('session_id', '=', scope.sessionId)
  const result = await query.executeTakeFirst()
  const deleted = Number(result.numDeletedRows)
  return countChange(tx, userNumber, version, deleted > 0, -deleted)
}

interface SessionRow {
  room_id: string
  session_id: string
  first_message_index: number
  forwarded_count: number
  is_verified: boolean
  session_data: string
}

const sessionColumns = 'room_id, session_id, first_message_index, forwarded_count, is_verified, session_data'

const oneSession = statement<[number, number, string, string], SessionRow>(
  'backed_up_sessions_one',
  `SELECT ${sessionColumns} FROM backed_up_sessions
   WHERE user_number = $1 AND version = $2 AND room_id = $3 AND session_id = $4`,
)

const roomPage = statement<[number, number, string, string, number], SessionRow>(
  'backed_up_sessions_room_page',
  `SELECT ${sessionColumns} FROM backed_up_sessions
   WHERE user_number = $1 AND version = $2 AND room_id = $3 AND session_id > $4 ORDER BY session_id LIMIT $5`,
)

const page = statement<[number, number, string, string, number], SessionRow>(
  'backed_up_sessions_page',
  `SELECT ${sessionColumns} FROM backed_up_sessions
   WHERE user_number = $1 AND version = $2 AND (room_id, session_id) > ($3, $4) ORDER BY room_id, session_id LIMIT $5`,
)

function sessionOfRow(row: SessionRow): BackedUpSession {
  return {
    // The column holds nothing but room IDs that were parsed before they were inserted.
    roomId: row.room_id as RoomId,
    sessionId: row.session_id,
    firstMessageIndex: row.first_message_index,
    forwardedCount: row.forwarded_count,
    isVerified: row.is_verified,
    sessionData: row.session_data,
  }
}

/** One session of a version; `null` if it is not there. */
export async function sessionOf(
  reader: Reader,
  userNumber: number,
  version: number,
  roomId: RoomId,
  sessionId: string,
): Promise<BackedUpSession | null> {
  const row = await oneSession.first(reader, [userNumber, version, roomId, sessionId])
  return row && sessionOfRow(row)
}

/**
 * Up to `limit` sessions of a version, of one room or of all (`roomId` null), by room and session ID; `after` is the last
 * one of the page before, null for the first page.
 */
export async function sessionPage(
  reader: Reader,
  userNumber: number,
  version: number,
  roomId: RoomId | null,
  after: BackedUpSession | null,
  limit: number,
): Promise<BackedUpSession[]> {
  const rows =
    roomId === null
      ? await page.run(reader, [userNumber, version, after?.roomId ?? '', after?.sessionId ?? '', limit])
      : await roomPage.run(reader, [userNumber, version, roomId, after?.sessionId ?? '', limit])
  return rows.map(sessionOfRow)
}
