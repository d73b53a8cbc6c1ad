import { sql } from 'kysely'
import { kept, type Sealer } from '../privacy/seal.ts'
import { type MediaId } from '../protocol/media-id.ts'
import { type Reader, statement, type Tx } from './database.ts'
import { noteDeadSeals, sealOfSql } from './keyring-row.ts'

/** Bytes in the media store, and what is said of them. */
export interface StoredFile {
  /** The name in the media store. */
  readonly fileName: string
  readonly contentType: string
  readonly sizeBytes: number
}

export interface UploadedFile extends StoredFile {
  readonly sha256: Buffer
  /** The name that the uploader gave it. */
  readonly uploadName: string | null
}

export interface Media {
  readonly mediaId: MediaId
  readonly userNumber: number
  /** `null` while the upload is awaited. */
  readonly file: (StoredFile & { readonly uploadName: string | null }) | null
  /** It is void from then on: an upload that is awaited, or one that nothing shows any more. Milliseconds since the epoch. */
  readonly expiresTs: number | null
  /** When it was uploaded or announced. */
  readonly createdTs: number
  /** True while something shows it. */
  readonly isHeld: boolean
  /** Whether an administrator keeps everybody from seeing it. */
  readonly isQuarantined: boolean
}

interface MediaRow {
  user_number: number
  file_name: string | null
  content_type: string | null
  upload_name: Buffer | null
  size_bytes: number | null
  expires_ts: number | null
  created_ts: number
  is_held: boolean
  is_quarantined: boolean
}

const findRow = statement<[string], MediaRow>(
  'media',
  'SELECT user_number, file_name, content_type, upload_name, size_bytes, expires_ts, created_ts, is_held, is_quarantined FROM media WHERE media_id = $1',
)

/** What the name of an upload is sealed under. */
export const uploadSealName = (mediaId: string): string => `media ${mediaId}`

/** `null` for an ID that nothing was made under, or whose media is gone. */
export async function mediaOf(reader: Reader, sealer: Sealer, mediaId: MediaId): Promise<Media | null> {
  const row = await findRow.first(reader, [mediaId])
  if (!row) return null
  const { file_name: fileName, content_type: contentType, size_bytes: sizeBytes, upload_name: sealedName } = row
  const uploadName = sealedName && sealer.open(sealedName, uploadSealName(mediaId))
  // The three are written together.
  const isUploaded = fileName !== null && contentType !== null && sizeBytes !== null
  return {
    mediaId,
    userNumber: row.user_number,
    file: isUploaded ? { fileName, contentType, sizeBytes, uploadName } : null,
    expiresTs: row.expires_ts,
    createdTs: row.created_ts,
    isHeld: row.is_held,
    isQuarantined: row.is_quarantined,
  }
}

/** How many uploads of the user are awaited at `nowTs`. */
export async function countAwaitedUploads(reader: Reader, userNumber: number, nowTs: number): Promise<number> {
  const row = await reader
    .selectFrom('media')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('user_number', '=', userNumber)
    .where('expires_ts', '>', nowTs)
    .executeTakeFirstOrThrow()
  return row.count
}

/** Makes an ID whose content is to follow before `expiresTs`. */
export async function insertAwaitedUpload(
  tx: Tx,
  mediaId: MediaId,
  userNumber: number,
  nowTs: number,
  expiresTs: number,
): Promise<void> {
  await tx
    .insertInto('media')
    .values({ media_id: mediaId, user_number: userNumber, created_ts: nowTs, expires_ts: expiresTs })
    .execute()
}

function fileColumns(sealer: Sealer, mediaId: MediaId, file: UploadedFile) {
  const { uploadName } = file
  return {
    file_name: file.fileName,
    content_type: file.contentType,
    upload_name: uploadName === null ? null : sealer.seal(uploadName, sealer.placeFor(kept, 'media'), uploadSealName(mediaId)), // prettier-ignore
    size_bytes: file.sizeBytes,
    sha256: file.sha256,
  }
}

export async function insertMedia(
  tx: Tx,
  sealer: Sealer,
  mediaId: MediaId,
  userNumber: number,
  nowTs: number,
  file: UploadedFile,
): Promise<void> {
  await tx
    .insertInto('media')
    .values({ media_id: mediaId, user_number: userNumber, created_ts: nowTs, ...fileColumns(sealer, mediaId, file) })
    .execute()
}

/** Gives an awaited upload its content. False if it has some already, has expired at `nowTs`, or is gone. */
export async function completeUpload(
  tx: Tx,
  sealer: Sealer,
  mediaId: MediaId,
  nowTs: number,
  file: UploadedFile,
): Promise<boolean> {
  const result = await tx
    .updateTable('media')
    .set({ ...fileColumns(sealer, mediaId, file), expires_ts: null })
    .where('media_id', '=', mediaId)
    .where('file_name', 'is', null)
    .where('expires_ts', '>', nowTs)
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}

export async function countUploadedFiles(reader: Reader): Promise<number> {
  const { count } = await reader
    .selectFrom('media')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('file_name', 'is not', null)
    .executeTakeFirstOrThrow()
  return count
}

/** Up to `limit` media that have a file and whose names come after `after`, in the order of their names. */
export async function mediaFilesAfter(
  reader: Reader,
  after: string,
  limit: number,
): Promise<{ readonly mediaId: MediaId; readonly fileName: string }[]> {
  const rows = await reader
    .selectFrom('media')
    .select(['media_id', 'file_name'])
    .where('media_id', '>', after)
    .where('file_name', 'is not', null)
    .orderBy('media_id')
    .limit(limit)
    .execute()
  // The column holds nothing but names that were parsed before they were inserted.
  return rows.map(row => ({ mediaId: row.media_id as MediaId, fileName: row.file_name ?? '' }))
}

/** Lets an upload have another file with the same content. */
export async function replaceFile(tx: Tx, mediaId: string, file: { fileName: string; sha256: Buffer }): Promise<void> {
  await tx
    .updateTable('media')
    .set({ file_name: file.fileName, sha256: file.sha256 })
    .where('media_id', '=', mediaId)
    .execute()
}

/** Forgets up to `limit` thumbnails, which are made anew when they are asked for. Returns the names of their files. */
export async function deleteSomeThumbnails(tx: Tx, limit: number): Promise<string[]> {
  const { rows } = await sql<{ file_name: string }>`DELETE FROM media_thumbnails WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM media_thumbnails LIMIT ${limit})) RETURNING file_name`.execute(tx)
  return rows.map(row => row.file_name)
}

/** What a thumbnail is made to: `crop` fills the size, `scale` fits into it. 0 × 0 is the size of the original. */
export interface ThumbnailSize {
  readonly width: number
  readonly height: number
  readonly method: 'crop' | 'scale'
}

const findThumbnail = statement<
  [string, number, number, string, boolean],
  { file_name: string; content_type: string; size_bytes: number }
>(
  'media_thumbnail',
  `SELECT file_name, content_type, size_bytes FROM media_thumbnails
   WHERE media_id = $1 AND width = $2 AND height = $3 AND method = $4 AND is_animated = $5`,
)

/** The thumbnail that was made for this size, or `null`. */
export async function thumbnailOf(
  reader: Reader,
  mediaId: MediaId,
  size: ThumbnailSize,
  isAnimated: boolean,
): Promise<StoredFile | null> {
  const row = await findThumbnail.first(reader, [mediaId, size.width, size.height, size.method, isAnimated])
  return row && { fileName: row.file_name, contentType: row.content_type, sizeBytes: row.size_bytes }
}

/**
 * Adds a thumbnail. `gone`: the media was deleted meanwhile. `exists`: somebody else made the same. In both cases nothing was
 * written.
 */
export async function insertThumbnail(
  tx: Tx,
  mediaId: MediaId,
  size: ThumbnailSize,
  isAnimated: boolean,
  file: StoredFile,
): Promise<'added' | 'exists' | 'gone'> {
  const parent = await tx
    .selectFrom('media')
    .select('media_id')
    .where('media_id', '=', mediaId)
    .forKeyShare()
    .executeTakeFirst()
  if (!parent) return 'gone'
  const result = await tx
    .insertInto('media_thumbnails')
    .values({
      media_id: mediaId,
      width: size.width,
      height: size.height,
      method: size.method,
      is_animated: isAnimated,
      file_name: file.fileName,
      content_type: file.contentType,
      size_bytes: file.sizeBytes,
    })
    .onConflict(conflict => conflict.doNothing())
    .executeTakeFirst()
  return result.numInsertedOrUpdatedRows === 1n ? 'added' : 'exists'
}

/** Notes files that no row refers to, to be removed from `removeTs` on. */
export async function insertUnreferencedFiles(tx: Tx, fileNames: readonly string[], removeTs: number): Promise<void> {
  if (fileNames.length === 0) return
  await tx
    .insertInto('unreferenced_files')
    .values(fileNames.map(fileName => ({ file_name: fileName, remove_ts: removeTs })))
    .execute()
}

/** Forgets the note of files. Returns of how many there was one. */
export async function deleteUnreferencedFiles(tx: Tx, fileNames: readonly string[]): Promise<number> {
  if (fileNames.length === 0) return 0
  const result = await tx.deleteFrom('unreferenced_files').where('file_name', 'in', fileNames).executeTakeFirst()
  return Number(result.numDeletedRows)
}

/** Names of at most `limit` unreferenced files that are to be removed at `nowTs`. */
export async function filesToRemove(reader: Reader, nowTs: number, limit: number): Promise<string[]> {
  const rows = await reader
    .selectFrom('unreferenced_files')
    .select('file_name')
    .where('remove_ts', '<=', nowTs)
    .orderBy('remove_ts')
    .limit(limit)
    .execute()
  return rows.map(row => row.file_name)
}

/** Deletes the rows of media and its thumbnails. Returns the names of their files; `null` if there was no such media. */
export async function deleteMediaRows(tx: Tx, mediaId: MediaId): Promise<string[] | null> {
  // The lock keeps thumbnails from being added between the two deletions.
  const media = await tx
    .selectFrom('media')
    .select(['file_name', sql<Buffer | null>`${sql.raw(sealOfSql('upload_name'))}`.as('seal')])
    .where('media_id', '=', mediaId)
    .forUpdate()
    .executeTakeFirst()
  if (!media) return null
  const thumbnails = await tx
    .deleteFrom('media_thumbnails')
    .where('media_id', '=', mediaId)
    .returning('file_name')
    .execute()
  await tx.deleteFrom('media').where('media_id', '=', mediaId).execute()
  await noteDeadSeals(tx, media.seal === null ? [] : [media.seal])
  return [media, ...thumbnails].flatMap(({ file_name: fileName }) => (fileName === null ? [] : [fileName]))
}

/**
 * Deletes at most `limit` media that are void at `nowTs`: awaited uploads that did not come, what nothing shows any more, and
 * uploads from before `looseBeforeTs` (where that is a time) that nothing ever showed. Returns how many there were and their files.
 */
export async function deleteVoidMedia(
  tx: Tx,
  nowTs: number,
  looseBeforeTs: number | null,
  limit: number,
): Promise<{ readonly count: number; readonly fileNames: readonly string[] }> {
  // The lock keeps thumbnails and references from being added before the deletion.
  const { rows } = await sql<{ media_id: string; file_name: string | null; is_shown: boolean }>`
    SELECT m.media_id, m.file_name,
      EXISTS (SELECT FROM media_references r WHERE r.media_id = m.media_id) AND m.file_name IS NOT NULL AS is_shown
    FROM media m WHERE m.media_id IN (
      SELECT media_id FROM (SELECT media_id FROM media WHERE expires_ts <= ${nowTs} LIMIT ${limit}) expired
      UNION SELECT media_id FROM (SELECT media_id FROM media
        WHERE NOT is_held AND file_name IS NOT NULL AND created_ts <= ${looseBeforeTs}::bigint LIMIT ${limit}) loose)
    LIMIT ${limit} FOR UPDATE OF m SKIP LOCKED`.execute(tx)
  const shown = rows.filter(row => row.is_shown).map(row => row.media_id)
  const gone = rows.filter(row => !row.is_shown).map(row => row.media_id)
  // Shown again while the last that showed it went: whoever showed it could not see that.
  await sql`UPDATE media SET is_held = true, expires_ts = NULL WHERE media_id = ANY(${shown}::text[])`.execute(tx)
  const thumbnails = await sql<{ file_name: string }>`DELETE FROM media_thumbnails WHERE media_id = ANY(${gone}::text[])
    RETURNING file_name`.execute(tx)
  await sql`WITH gone AS (DELETE FROM media WHERE media_id = ANY(${gone}::text[])
      RETURNING ${sql.raw(sealOfSql('upload_name'))} AS seal)
    INSERT INTO dead_seals SELECT seal FROM gone WHERE seal IS NOT NULL ON CONFLICT DO NOTHING`.execute(tx)
  const originals = rows.filter(row => !row.is_shown).flatMap(row => row.file_name ?? [])
  return { count: rows.length, fileNames: [...originals, ...thumbnails.rows.map(row => row.file_name)] }
}

/** The IDs of at most `limit` of the user's media, oldest first. */
export async function mediaOfUser(reader: Reader, userNumber: number, limit: number): Promise<MediaId[]> {
  const rows = await reader
    .selectFrom('media')
    .select(sql<MediaId>`media_id`.as('media_id')) // The column holds nothing but IDs that this server made.
    .where('user_number', '=', userNumber)
    .orderBy('created_ts')
    .limit(limit)
    .execute()
  return rows.map(row => row.media_id)
}

/** The IDs of everything that the user has uploaded, in the order of the IDs. */
export async function mediaIdsOf(reader: Reader, userNumber: number): Promise<MediaId[]> {
  const rows = await reader
    .selectFrom('media')
    .select(sql<MediaId>`media_id`.as('media_id')) // As in `mediaOfUser`.
    .where('user_number', '=', userNumber)
    .where('file_name', 'is not', null)
    .orderBy('media_id')
    .execute()
  return rows.map(row => row.media_id)
}
