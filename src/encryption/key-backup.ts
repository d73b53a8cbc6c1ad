import { Readable } from 'node:stream'
import { type Context } from '../context.ts'
import { badJson, invalidParam, MatrixError, notFound, tooLarge } from '../errors.ts'
import { type User } from '../http/endpoint.ts'
import { parseRoomId, type RoomId } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../protocol/json.ts'
import { type Reader, transaction, type Tx } from '../storage/database.ts'
import {
  type BackedUpSession, type BackupCounts, backupOfVersion, countBackups, currentBackup, deleteBackup, deleteSessions,
  insertBackup, type KeyBackup, lockBackups, putSessions, sessionOf, sessionPage, type SessionScope, updateBackup,
} from '../storage/key-backups.ts' // prettier-ignore
import { isKeyName } from './key-objects.ts'

/** What a version may say of its key, in bytes of JSON. */
const authDataLimitBytes = 64 * 1024
/** The encrypted key of one session, in bytes of JSON; it takes about 500. */
const sessionDataLimitBytes = 64 * 1024
/** How many versions may exist; clients keep one and delete the others. */
const versionsLimit = 100
/** How many sessions are read at once. */
const pageSize = 500

const unknownVersion = () => notFound('Unknown backup version')

/** The number of a version; what is no number of ours is a version that does not exist. */
function versionNumber(version: string): number {
  if (!/^[1-9]\d{0,8}$/.test(version)) throw unknownVersion()
  return Number(version)
}

function checkAuthData(authData: JsonObject): string {
  const text = JSON.stringify(authData)
  if (Buffer.byteLength(text) > authDataLimitBytes) throw tooLarge('auth_data is too large')
  return text
}

/**
 * Makes a new backup, which is the current one from now on. Returns its version. Throws `invalidParam` for an algorithm
 * that cannot be one. https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3room_keysversion
 */
export async function createBackup(
  ctx: Context,
  caller: User,
  algorithm: string,
  authData: JsonObject,
): Promise<string> {
  if (!isKeyName(algorithm)) throw invalidParam('algorithm is not valid')
  const text = checkAuthData(authData)
  return transaction(ctx.db, async tx => {
    await lockBackups(tx, caller.userNumber)
    if ((await countBackups(tx, caller.userNumber)) >= versionsLimit) {
      throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', 'Too many backup versions; delete old ones')
    }
    return String(await insertBackup(tx, caller.userNumber, algorithm, text))
  })
}

/** What is known of a version, or of the current one (`version` null). Throws `notFound` if there is none. */
export async function backupInfo(ctx: Context, caller: User, version: string | null): Promise<KeyBackup> {
  if (version !== null) return existingBackup(ctx.db.kysely, caller, versionNumber(version))
  const backup = await currentBackup(ctx.db.kysely, caller.userNumber)
  if (!backup) throw notFound('No current backup version')
  return backup
}

async function existingBackup(reader: Reader, caller: User, version: number): Promise<KeyBackup> {
  const backup = await backupOfVersion(reader, caller.userNumber, version)
  if (!backup || backup === 'deleted') throw unknownVersion()
  return backup
}

/**
 * Replaces what a version says of its key. Throws `notFound` for an unknown version and `invalidParam` if the algorithm is
 * not the version's or the body names another version.
 */
export async function changeBackup(
  ctx: Context,
  caller: User,
  version: string,
  change: { readonly algorithm: string; readonly authData: JsonObject; readonly version: string | null },
): Promise<void> {
  const number = versionNumber(version)
  const text = checkAuthData(change.authData)
  await transaction(ctx.db, async tx => {
    await lockBackups(tx, caller.userNumber)
    const backup = await existingBackup(tx, caller, number)
    if (change.version !== null && change.version !== version) throw invalidParam('Version in body does not match')
    if (change.algorithm !== backup.algorithm) throw invalidParam('Algorithm does not match')
    await updateBackup(tx, caller.userNumber, number, text)
  })
}

/** Deletes a version with all its keys; one that was deleted before is fine. Throws `notFound` for one that never was. */
export async function removeBackup(ctx: Context, caller: User, version: string): Promise<void> {
  const number = versionNumber(version)
  await transaction(ctx.db, async tx => {
    await lockBackups(tx, caller.userNumber)
    const backup = await backupOfVersion(tx, caller.userNumber, number)
    if (!backup) throw unknownVersion()
    if (backup !== 'deleted') await deleteBackup(tx, caller.userNumber, number)
  })
}

/** Reads the keys of one room from a body. Throws `badJson` or `invalidParam` for what is malformed. */
export function roomSessions(roomId: RoomId, sessions: JsonValue | undefined): BackedUpSession[] {
  if (!isJsonObject(sessions)) throw badJson('sessions must be an object')
  return Object.entries(sessions).map(([sessionId, session]) => backedUpSession(roomId, sessionId, session))
}

/** Reads the keys of all rooms from a body. Throws `badJson` or `invalidParam` for what is malformed. */
export function allSessions(rooms: JsonObject): BackedUpSession[] {
  return Object.entries(rooms).flatMap(([name, room]) => {
    const roomId = parseRoomId(name)
    if (roomId === null) throw invalidParam('rooms must be keyed by room IDs')
    if (!isJsonObject(room)) throw badJson('A room must be an object')
    return roomSessions(roomId, room.sessions)
  })
}

/** Reads one key from a body. Throws `badJson` or `invalidParam` for what is malformed. */
export function backedUpSession(roomId: RoomId, sessionId: string, session: JsonValue): BackedUpSession {
  if (!isKeyName(sessionId)) throw invalidParam('A session ID is not valid')
  if (!isJsonObject(session)) throw badJson('A session must be an object')
  const { first_message_index: index, forwarded_count: forwarded, is_verified: isVerified } = session
  if (typeof isVerified !== 'boolean') throw badJson('is_verified must be a boolean')
  if (!isJsonObject(session.session_data)) throw badJson('session_data must be an object')
  const sessionData = JSON.stringify(session.session_data)
  if (Buffer.byteLength(sessionData) > sessionDataLimitBytes) throw tooLarge('session_data is too large')
  return {
    roomId,
    sessionId,
    firstMessageIndex: count('first_message_index', index),
    forwardedCount: count('forwarded_count', forwarded),
    isVerified,
    sessionData,
  }
}

function count(name: string, value: JsonValue | undefined): number {
  if (typeof value !== 'number') throw badJson(`${name} must be a number`)
  if (!Number.isSafeInteger(value) || value < 0) throw invalidParam(`${name} must be a whole number, not below zero`)
  return value
}

/**
 * Puts keys into the current backup; each stays as it was if the one that is there is better. Throws `notFound` for an
 * unknown version, and M_WRONG_ROOM_KEYS_VERSION with `current_version` for one that is not the current one.
 */
export function putRoomKeys(
  ctx: Context,
  caller: User,
  version: string,
  sessions: readonly BackedUpSession[],
): Promise<BackupCounts> {
  return change(ctx, caller, version, async (tx, backup) => {
    const current = await currentBackup(tx, caller.userNumber)
    if (current?.version !== backup.version) {
      throw new MatrixError('M_WRONG_ROOM_KEYS_VERSION', 'Wrong backup version', {
        fields: { current_version: String(current?.version ?? '') },
      })
    }
    return putSessions(tx, caller.userNumber, backup.version, sessions)
  })
}

/** Deletes keys from a version: all, a room's or one. Throws `notFound` for an unknown version. */
export function deleteRoomKeys(
  ctx: Context,
  caller: User,
  version: string,
  scope: SessionScope,
): Promise<BackupCounts> {
  return change(ctx, caller, version, (tx, backup) => deleteSessions(tx, caller.userNumber, backup.version, scope))
}

async function change(
  ctx: Context,
  caller: User,
  version: string,
  work: (tx: Tx, backup: KeyBackup) => Promise<BackupCounts>,
): Promise<BackupCounts> {
  const number = versionNumber(version)
  return transaction(ctx.db, async tx => {
    await lockBackups(tx, caller.userNumber)
    return work(tx, await existingBackup(tx, caller, number))
  })
}

/** One key of a version. Throws `notFound` for an unknown version and for a key that is not there. */
export async function roomKey(
  ctx: Context,
  caller: User,
  version: string,
  roomId: RoomId,
  sessionId: string,
): Promise<JsonObject> {
  const { version: number } = await existingBackup(ctx.db.kysely, caller, versionNumber(version))
  const session = isKeyName(sessionId) ? await sessionOf(ctx.db.kysely, caller.userNumber, number, roomId, sessionId) : null // prettier-ignore
  if (!session) throw notFound('No room key found')
  // The text was made from an object.
  return { ...withoutData(session), session_data: JSON.parse(session.sessionData) as JsonObject }
}

const withoutData = (session: BackedUpSession) => ({
  first_message_index: session.firstMessageIndex,
  forwarded_count: session.forwardedCount,
  is_verified: session.isVerified,
})

/**
 * The JSON text of a room's keys (`{"sessions":…}`) or of all (`{"rooms":…}`, `roomId` null), in pieces: a backup may hold
 * hundreds of thousands. Throws `notFound` for an unknown version.
 */
export async function roomKeys(ctx: Context, caller: User, version: string, roomId: RoomId | null): Promise<Readable> {
  const { version: number } = await existingBackup(ctx.db.kysely, caller, versionNumber(version))
  return Readable.from(jsonOfSessions(ctx.db.kysely, caller.userNumber, number, roomId))
}

async function* jsonOfSessions(
  reader: Reader,
  userNumber: number,
  version: number,
  roomId: RoomId | null,
): AsyncGenerator<string> {
  yield roomId === null ? '{"rooms":{' : '{"sessions":{'
  let last: BackedUpSession | null = null
  for (;;) {
    const page: readonly BackedUpSession[] = await sessionPage(reader, userNumber, version, roomId, last, pageSize)
    let text = ''
    for (const session of page) {
      if (roomId === null && session.roomId !== last?.roomId) {
        text += `${last === null ? '' : '}},'}${JSON.stringify(session.roomId)}:{"sessions":{`
      } else if (last !== null) text += ','
      const facts = JSON.stringify(withoutData(session)).slice(0, -1)
      text += `${JSON.stringify(session.sessionId)}:${facts},"session_data":${session.sessionData}}`
      last = session
    }
    yield text
    if (page.length < pageSize) break
  }
  yield roomId === null && last !== null ? '}}}}' : '}}'
}
