import { sql } from 'kysely'
import { type Sealer } from '../privacy/seal.ts'
import { type UserId } from '../protocol/identifiers.ts'
import { type JsonValue } from '../protocol/json.ts'
import { type MediaId } from '../protocol/media-id.ts'
import { type Reader, statement, type Tx } from './database.ts'

interface ProfileRow {
  user_number: number
  key: string
  value: Buffer
}

/** What a field of a profile is sealed under. */
export const profileSealName = (userNumber: number, key: string): string => `profile ${userNumber} ${key}`

/** The value of a row; `undefined` if its key has been destroyed with the account. */
export function openProfileValue(sealer: Sealer, row: ProfileRow): JsonValue | undefined {
  const text = sealer.open(row.value, profileSealName(row.user_number, row.key))
  // The column holds JSON text that this server wrote.
  return text === null ? undefined : (JSON.parse(text) as JsonValue)
}

const findProfile = statement<[string], ProfileRow>(
  'profile',
  `SELECT p.user_number, p.key, p.value FROM profiles p JOIN users u USING (user_number) WHERE u.user_id = $1 ORDER BY p.key`,
)

/** Everything in a user's profile, by key; empty when nothing is. */
export async function profileOf(
  reader: Reader,
  sealer: Sealer,
  userId: UserId,
): Promise<ReadonlyMap<string, JsonValue>> {
  const rows = await findProfile.run(reader, [userId])
  return new Map(
    rows.flatMap(row => {
      const value = openProfileValue(sealer, row)
      return value === undefined ? [] : [[row.key, value] as const]
    }),
  )
}

const findNames = statement<[readonly string[]], ProfileRow & { user_id: string }>(
  'profile_names',
  `SELECT u.user_id, p.user_number, p.key, p.value FROM profiles p JOIN users u USING (user_number)
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
  sealer: Sealer,
  userIds: readonly UserId[],
): Promise<ReadonlyMap<UserId, ProfileNames>> {
  const names = new Map<UserId, { displayname: string | null; avatarUrl: string | null }>()
  if (userIds.length === 0) return names
  for (const row of await findNames.run(reader, [userIds])) {
    // The column holds nothing but user IDs that were parsed before they were inserted.
    const userId = row.user_id as UserId
    const value = openProfileValue(sealer, row)
    if (typeof value !== 'string') continue
    const entry = names.get(userId) ?? { displayname: null, avatarUrl: null }
    if (row.key === 'displayname') entry.displayname = value
    else entry.avatarUrl = value
    names.set(userId, entry)
  }
  return names
}

async function fieldsOf(reader: Reader, sealer: Sealer, userNumber: number): Promise<Map<string, string>> {
  const rows = await reader.selectFrom('profiles').selectAll().where('user_number', '=', userNumber).execute()
  return new Map(
    rows.flatMap(row => {
      const text = sealer.open(row.value, profileSealName(userNumber, row.key))
      return text === null ? [] : [[row.key, text] as const]
    }),
  )
}

/** Bytes of the user's profile, keys and JSON values, without the field `except`. */
export async function profileBytes(
  reader: Reader,
  sealer: Sealer,
  userNumber: number,
  except: string,
): Promise<number> {
  const others = [...(await fieldsOf(reader, sealer, userNumber))].filter(([key]) => key !== except)
  return others.reduce((sum, [key, text]) => sum + Buffer.byteLength(key) + Buffer.byteLength(text), 0)
}

/** Sets one field, in which these media of the server are shown. Returns false if it had that value already. */
export async function putProfileField(
  tx: Tx,
  sealer: Sealer,
  userNumber: number,
  key: string,
  value: JsonValue,
  media: readonly MediaId[],
): Promise<boolean> {
  const text = JSON.stringify(value)
  if ((await fieldsOf(tx, sealer, userNumber)).get(key) === text) return false
  const sealed = sealer.seal(text, sealer.accountPlace(userNumber), profileSealName(userNumber, key))
  await tx
    .insertInto('profiles')
    .values({ user_number: userNumber, key, value: sealed })
    .onConflict(conflict => conflict.columns(['user_number', 'key']).doUpdateSet({ value: sealed }))
    .execute()
  await showInProfile(tx, userNumber, key, media)
  return true
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
