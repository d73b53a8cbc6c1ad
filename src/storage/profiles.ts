import { sql } from 'kysely'
import { type UserId } from '../protocol/identifiers.ts'
import { type JsonValue } from '../protocol/json.ts'
import { type MediaId } from '../protocol/media-id.ts'
import { type Reader, statement, type Tx } from './database.ts'

const findProfile = statement<[string], { key: string; value: string }>(
  'profile',
  `SELECT p.key, p.value FROM profiles p JOIN users u USING (user_number) WHERE u.user_id = $1 ORDER BY p.key`,
)

/** Everything in a user's profile, by key; empty when nothing is. */
export async function profileOf(reader: Reader, userId: UserId): Promise<ReadonlyMap<string, JsonValue>> {
  const rows = await findProfile.run(reader, [userId])
  // The column holds JSON text that this server wrote.
  return new Map(rows.map(row => [row.key, JSON.parse(row.value) as JsonValue]))
}

const findNames = statement<[readonly string[]], { user_id: string; key: string; value: string }>(
  'profile_names',
  `SELECT u.user_id, p.key, p.value FROM profiles p JOIN users u USING (user_number)
   WHERE u.user_id = ANY($1) AND p.key IN ('displayname', 'avatar_url')`,
)

/** What membership events say of a user; `null` where nothing is set. */
export interface ProfileNames {
  readonly displayname: string | null
  readonly avatarUrl: string | null
}

/** Display names and avatars of many users; those with neither are left out. */
export async function profileNamesOf(
  reader: Reader,
  userIds: readonly UserId[],
): Promise<ReadonlyMap<UserId, ProfileNames>> {
  const names = new Map<UserId, { displayname: string | null; avatarUrl: string | null }>()
  if (userIds.length === 0) return names
  for (const row of await findNames.run(reader, [userIds])) {
    // The column holds nothing but user IDs that were parsed before they were inserted.
    const userId = row.user_id as UserId
    // As in `profileOf`.
    const value = JSON.parse(row.value) as JsonValue
    if (typeof value !== 'string') continue
    const entry = names.get(userId) ?? { displayname: null, avatarUrl: null }
    if (row.key === 'displayname') entry.displayname = value
    else entry.avatarUrl = value
    names.set(userId, entry)
  }
  return names
}

/** Bytes of the user's profile, keys and JSON values, without the field `except`. */
export async function profileBytes(reader: Reader, userNumber: number, except: string): Promise<number> {
  const row = await reader
    .selectFrom('profiles')
    .select(sql<number>`coalesce(sum(octet_length(key) + octet_length(value)), 0)::bigint`.as('bytes'))
    .where('user_number', '=', userNumber)
    .where('key', '<>', except)
    .executeTakeFirstOrThrow()
  return row.bytes
}

/** Sets one field, in which these media of the server are shown. Returns false if it had that value already. */
export async function putProfileField(
  tx: Tx,
  userNumber: number,
  key: string,
  value: JsonValue,
  media: readonly MediaId[],
): Promise<boolean> {
  const text = JSON.stringify(value)
  const result = await tx
    .insertInto('profiles')
    .values({ user_number: userNumber, key, value: text })
    .onConflict(conflict =>
      conflict.columns(['user_number', 'key']).doUpdateSet({ value: text }).where('profiles.value', '<>', text),
    )
    .executeTakeFirst()
  const hasChanged = result.numInsertedOrUpdatedRows === 1n
  if (hasChanged) await showInProfile(tx, userNumber, key, media)
  return hasChanged
}

/** What the field shows from now on, of the user's own uploads. A field that is removed takes its references with it. */
async function showInProfile(tx: Tx, userNumber: number, key: string, media: readonly MediaId[]): Promise<void> {
  await tx.deleteFrom('media_references').where('user_number', '=', userNumber).where('profile_key', '=', key).execute()
  if (media.length === 0) return
  await sql`INSERT INTO media_references (media_id, user_number, profile_key)
    SELECT media_id, user_number, ${key} FROM media WHERE media_id = ANY(${media}::text[]) AND user_number = ${userNumber}
    FOR KEY SHARE`.execute(tx)
}

/** False if there was no such field. */
export async function deleteProfileField(tx: Tx, userNumber: number, key: string): Promise<boolean> {
  const result = await tx
    .deleteFrom('profiles')
    .where('user_number', '=', userNumber)
    .where('key', '=', key)
    .executeTakeFirst()
  return result.numDeletedRows === 1n
}
