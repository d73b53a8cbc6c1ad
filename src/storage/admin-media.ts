import { type SelectQueryBuilder, sql, type SqlBool } from 'kysely'
import { type UserId } from '../protocol/identifiers.ts'
import { type MediaId } from '../protocol/media-id.ts'
import { type Reader, type Tx } from './database.ts'
import { uploadSealName } from './media.ts'
import { profileNamesOf } from './profiles.ts'
import { type Sealer } from '../privacy/seal.ts'

/** Uploaded media as lists show it. */
export interface ListedMedia {
  readonly mediaId: MediaId
  readonly userId: UserId
  readonly contentType: string | null
  readonly uploadName: string | null
  readonly sizeBytes: number
  /** Milliseconds since the epoch. */
  readonly createdTs: number
  readonly isQuarantined: boolean
  readonly isProtected: boolean
}

/** What media may be sorted by. */
const orders = {
  created_ts: sql`media.created_ts`,
  media_id: sql`media.media_id`,
  media_length: sql`media.size_bytes`,
  // Nobody knows.
  last_access_ts: sql`NULL::bigint`,
  media_type: sql`media.content_type`,
  quarantined_by: sql`media.is_quarantined`,
  safe_from_quarantine: sql`media.is_protected`,
} as const

export type MediaOrder = keyof typeof orders | 'upload_name'
// The keys of the object are the union.
export const mediaOrders = [...Object.keys(orders), 'upload_name'] as MediaOrder[]

const columns = [
  'media.media_id', 'users.user_id', 'media.content_type', 'media.upload_name', 'media.size_bytes', 'media.created_ts',
  'media.is_quarantined', 'media.is_protected',
] as const // prettier-ignore

interface Row {
  media_id: string
  user_id: string
  content_type: string | null
  upload_name: Buffer | null
  size_bytes: number | null
  created_ts: number
  is_quarantined: boolean
  is_protected: boolean
}

function listedOfRow(sealer: Sealer, row: Row): ListedMedia {
  return {
    // The columns hold nothing but identifiers that this server made, or parsed before they were inserted.
    mediaId: row.media_id as MediaId,
    userId: row.user_id as UserId,
    contentType: row.content_type,
    uploadName: row.upload_name && sealer.open(row.upload_name, uploadSealName(row.media_id)),
    sizeBytes: row.size_bytes ?? 0,
    createdTs: row.created_ts,
    isQuarantined: row.is_quarantined,
    isProtected: row.is_protected,
  }
}

function uploaded(reader: Reader) {
  return reader
    .selectFrom('media')
    .innerJoin('users', 'users.user_number', 'media.user_number')
    .where('media.file_name', 'is not', null)
}

/** A page of what a user uploaded, and how much there is in all. */
export async function listMediaOf(
  reader: Reader,
  sealer: Sealer,
  userNumber: number,
  page: { readonly order: MediaOrder; readonly direction: 'f' | 'b'; readonly from: number; readonly limit: number },
): Promise<{ readonly media: ListedMedia[]; readonly total: number }> {
  const direction = page.direction === 'b' ? sql`DESC NULLS LAST` : sql`ASC NULLS FIRST`
  const ofUser = () => uploaded(reader).where('media.user_number', '=', userNumber)
  const { order } = page
  const rowsOfPage = () =>
    order === 'upload_name'
      ? byUploadName(ofUser().select(columns), sealer, page)
      : ofUser()
          .select(columns)
          .orderBy(sql`${orders[order]} ${direction}`)
          .orderBy('media.media_id')
          .offset(page.from)
          .limit(page.limit)
          .execute()
  const [rows, counted] = await Promise.all([
    rowsOfPage(),
    ofUser()
      .select(({ fn }) => fn.countAll<number>().as('total'))
      .executeTakeFirstOrThrow(),
  ])
  return { media: rows.map(row => listedOfRow(sealer, row)), total: counted.total }
}

/** Uploads of one user that are sorted by their names, at most; the newest of them. */
const sortedLimit = 20_000

/** What is sealed cannot be sorted by the database. */
async function byUploadName(
  uploads: SelectQueryBuilder<never, never, Row>,
  sealer: Sealer,
  page: { readonly direction: 'f' | 'b'; readonly from: number; readonly limit: number },
): Promise<Row[]> {
  const rows = await uploads
    .orderBy(sql`media.created_ts DESC`)
    .limit(sortedLimit)
    .execute()
  const sign = page.direction === 'b' ? -1 : 1
  return rows
    .map(row => ({ row, name: listedOfRow(sealer, row).uploadName ?? '' }))
    .sort(
      (a, b) => sign * (a.name < b.name ? -1 : a.name > b.name ? 1 : 0) || (a.row.media_id < b.row.media_id ? -1 : 1),
    )
    .slice(page.from, page.from + page.limit)
    .map(({ row }) => row)
}

/** One upload; `null` if there is none. */
export async function listedMedia(reader: Reader, sealer: Sealer, mediaId: MediaId): Promise<ListedMedia | null> {
  const row = await uploaded(reader).select(columns).where('media.media_id', '=', mediaId).executeTakeFirst()
  return row ? listedOfRow(sealer, row) : null
}

/** Up to `limit` uploads from before a time that are larger than so many bytes, the oldest first; not those that a profile
 *  shows, if `keepsProfiles`. */
export async function mediaBefore(
  reader: Reader,
  wanted: { readonly beforeTs: number; readonly largerThan: number; readonly keepsProfiles: boolean },
  limit: number,
): Promise<MediaId[]> {
  const rows = await uploaded(reader)
    .select('media.media_id')
    .where('media.created_ts', '<', wanted.beforeTs)
    .where('media.size_bytes', '>', wanted.largerThan)
    .$if(wanted.keepsProfiles, query =>
      query.where(
        sql<SqlBool>`NOT EXISTS (SELECT FROM media_references r WHERE r.media_id = media.media_id AND r.user_number IS NOT NULL)`,
      ),
    )
    .orderBy('media.created_ts')
    .limit(limit)
    .execute()
  // As above.
  return rows.map(row => row.media_id as MediaId)
}

/** Up to `limit` of what messages of a room show; of encrypted messages nobody here knows. */
export async function mediaOfRoom(reader: Reader, roomNumber: number, limit: number): Promise<MediaId[]> {
  const { rows } = await sql<{ media_id: string }>`SELECT DISTINCT r.media_id FROM media_references r
    JOIN events e USING (event_number) JOIN media m USING (media_id)
    WHERE e.room_number = ${roomNumber} AND m.file_name IS NOT NULL ORDER BY r.media_id LIMIT ${limit}`.execute(reader)
  // As above.
  return rows.map(row => row.media_id as MediaId)
}

/** Puts media into quarantine or lets it out: one, a user's, or what messages of a room show. Protected media stays out. Returns how many changed. */
export async function setQuarantined(
  tx: Tx,
  which: { readonly mediaId: MediaId } | { readonly userNumber: number } | { readonly shownIn: number },
  isQuarantined: boolean,
): Promise<number> {
  let query = tx
    .updateTable('media')
    .set({ is_quarantined: isQuarantined })
    .where('is_quarantined', '=', !isQuarantined)
  if (isQuarantined) query = query.where('is_protected', '=', false)
  if ('mediaId' in which) query = query.where('media_id', '=', which.mediaId)
  else if ('userNumber' in which) query = query.where('user_number', '=', which.userNumber)
  else {
    query = query.where(
      sql<SqlBool>`media_id IN (SELECT r.media_id FROM media_references r JOIN events e USING (event_number)
        WHERE e.room_number = ${which.shownIn})`,
    )
  }
  return Number((await query.executeTakeFirst()).numUpdatedRows)
}

/** Keeps media out of any quarantine to come, or no longer. False if there is none of this name. */
export async function setProtected(tx: Tx, mediaId: MediaId, isProtected: boolean): Promise<boolean> {
  const result = await tx
    .updateTable('media')
    .set({ is_protected: isProtected })
    .where('media_id', '=', mediaId)
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}

/** What users keep here. */
export interface MediaUse {
  readonly userId: UserId
  readonly displayName: string | null
  readonly count: number
  readonly bytes: number
}

const useOrders = {
  user_id: sql`users.user_id`,
  media_count: sql`count(*)`,
  media_length: sql`sum(media.size_bytes)`,
} as const

export type MediaUseOrder = keyof typeof useOrders
export const mediaUseOrders = Object.keys(useOrders) as MediaUseOrder[] // The keys of the object are the union.

/** A page of the users who uploaded something, with how much, and how many of them there are in all. */
export async function mediaUse(
  reader: Reader,
  sealer: Sealer,
  wanted: { readonly searchTerm: string | null; readonly fromTs: number | null; readonly untilTs: number | null },
  page: { readonly order: MediaUseOrder; readonly direction: 'f' | 'b'; readonly from: number; readonly limit: number },
): Promise<{ readonly users: MediaUse[]; readonly total: number }> {
  const direction = page.direction === 'b' ? sql`DESC` : sql`ASC`
  const term = wanted.searchTerm?.toLowerCase() ?? ''
  const grouped = () =>
    uploaded(reader)
      .$if(wanted.fromTs !== null, query => query.where('media.created_ts', '>=', wanted.fromTs ?? 0))
      .$if(wanted.untilTs !== null, query => query.where('media.created_ts', '<=', wanted.untilTs ?? 0))
      .$if(term !== '', query => query.where(sql<SqlBool>`strpos(lower(users.user_id), ${term}) > 0`))
      .groupBy('users.user_id')
  const [rows, all] = await Promise.all([
    grouped()
      .select([
        'users.user_id',
        sql<number>`count(*)`.as('count'),
        sql<number>`sum(media.size_bytes)::bigint`.as('bytes'),
      ])
      .orderBy(sql`${useOrders[page.order]} ${direction}`)
      .orderBy('users.user_id')
      .offset(page.from)
      .limit(page.limit)
      .execute(),
    grouped().select('users.user_id').execute(),
  ])
  // As above.
  const found = rows.map(row => ({ userId: row.user_id as UserId, count: row.count, bytes: row.bytes }))
  const names = await profileNamesOf(reader, sealer, found.map(({ userId }) => userId)) // prettier-ignore
  return {
    users: found.map(user => ({ ...user, displayName: names.get(user.userId)?.displayname ?? null })),
    total: all.length,
  }
}
