import { type Readable } from 'node:stream'
import { type Context, perServer } from '../context.ts'
import { limitExceeded, forbidden, MatrixError, notFound, tooLarge } from '../errors.ts'
import { type ServerName } from '../protocol/identifiers.ts'
import { type MediaId, parseMediaId } from '../protocol/media-id.ts'
import { lockAccount } from '../storage/accounts.ts'
import { transaction, type Tx } from '../storage/database.ts'
import {
  completeUpload, countAwaitedUploads, insertAwaitedUpload, insertMedia, type Media, mediaOf,
} from '../storage/media.ts' // prettier-ignore
import { announceArrival } from './arrivals.ts'
import { keepFile, type WrittenFile } from './files.ts'
import { normaliseContentType } from './headers.ts'
import { withoutMetadata } from './metadata/strip.ts'
import { HeldMemory } from './metadata/tiff.ts'

/** How long an ID waits for its content. */
export const awaitedUploadLifetimeMs = 24 * 3_600_000
/** How many IDs of one user may wait for content at a time. */
export const awaitedUploadLimit = 5
/** What a user who has too many of them is told to wait. */
const awaitedUploadRetryMs = 60_000

/** How much is in memory of uploads that must be there whole to be looked at. */
const heldMemory = perServer(() => new HeldMemory())

/** Who uploads. */
export interface Uploader {
  readonly userNumber: number
  readonly isSuspended: boolean
}

/** What is uploaded. */
export interface Upload {
  readonly stream: Readable
  /** The `Content-Type` that was sent. */
  readonly contentType: string | null
  /** The length that was announced, in bytes; `null` when none was. */
  readonly contentLength: number | null
  readonly fileName: string | null
}

const mediaIdBytes = 17

/** A letter first: a command line would take what begins with `-` for an option. */
function newMediaId({ random }: Context): MediaId {
  const mediaId = parseMediaId(random.letters(1) + Buffer.from(random.bytes(mediaIdBytes)).toString('base64url'))
  if (mediaId === null) throw new Error('base64url has other characters than media IDs')
  return mediaId
}

function requireMayUpload(uploader: Uploader): void {
  if (uploader.isSuspended) throw new MatrixError('M_USER_SUSPENDED', 'Suspended accounts may not upload')
}

/**
 * Keeps an upload and returns the ID that it has. Throws M_TOO_LARGE, M_USER_SUSPENDED.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav3upload
 */
export async function uploadMedia(ctx: Context, uploader: Uploader, upload: Upload): Promise<MediaId> {
  requireMayUpload(uploader)
  const mediaId = newMediaId(ctx)
  await keepUpload(ctx, upload, (tx, file) =>
    insertMedia(tx, ctx.numbers.sealer, mediaId, uploader.userNumber, ctx.clock.now(), file),
  )
  return mediaId
}

/**
 * Makes an ID whose content is to follow before `expiresTs` (milliseconds since the epoch). Throws M_LIMIT_EXCEEDED when the
 * user has too many without content. https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav1create
 */
export async function createMedia(
  ctx: Context,
  uploader: Uploader,
): Promise<{ readonly mediaId: MediaId; readonly expiresTs: number }> {
  requireMayUpload(uploader)
  const mediaId = newMediaId(ctx)
  const nowTs = ctx.clock.now()
  const expiresTs = nowTs + awaitedUploadLifetimeMs
  await transaction(ctx.db, async tx => {
    // Those who count at the same time would each see room for one more.
    await lockAccount(tx, uploader.userNumber)
    const count = await countAwaitedUploads(tx, uploader.userNumber, nowTs)
    if (count >= awaitedUploadLimit) throw limitExceeded(awaitedUploadRetryMs)
    await insertAwaitedUpload(tx, mediaId, uploader.userNumber, nowTs, expiresTs)
  })
  return { mediaId, expiresTs }
}

/**
 * Gives an ID its content. Throws M_NOT_FOUND for an ID that was not made or has expired, M_FORBIDDEN for another user's,
 * M_CANNOT_OVERWRITE_MEDIA for one that has content (before anything is read), M_TOO_LARGE, M_USER_SUSPENDED.
 * https://spec.matrix.org/v1.19/client-server-api/#put_matrixmediav3uploadservernamemediaid
 */
export async function fillMedia(
  ctx: Context,
  uploader: Uploader,
  serverName: ServerName,
  mediaId: MediaId,
  upload: Upload,
): Promise<void> {
  requireMayUpload(uploader)
  if (serverName !== ctx.serverName) throw unknownId()
  checkAwaited(await mediaOf(ctx.db.kysely, ctx.numbers.sealer, mediaId), uploader, ctx.clock.now())
  await keepUpload(ctx, upload, async (tx, file) => {
    const nowTs = ctx.clock.now()
    if (await completeUpload(tx, ctx.numbers.sealer, mediaId, nowTs, file)) return
    checkAwaited(await mediaOf(tx, ctx.numbers.sealer, mediaId), uploader, nowTs)
    throw unknownId()
  })
  announceArrival(ctx, mediaId)
}

const unknownId = (): MatrixError => notFound('Unknown media ID')

function checkAwaited(media: Media | null, uploader: Uploader, nowTs: number): void {
  if (!media) throw unknownId()
  if (media.userNumber !== uploader.userNumber) throw forbidden('That media ID was made by somebody else')
  if (media.file) throw new MatrixError('M_CANNOT_OVERWRITE_MEDIA', 'That media ID has content already')
  if (media.expiresTs !== null && media.expiresTs <= nowTs) throw unknownId()
}

async function keepUpload(
  ctx: Context,
  upload: Upload,
  adopt: (
    tx: Tx,
    file: WrittenFile & { readonly contentType: string; readonly uploadName: string | null },
  ) => Promise<void>,
): Promise<void> {
  const limitBytes = ctx.config.media.maxUploadBytes
  if (upload.contentLength !== null && upload.contentLength > limitBytes) throw tooLarge('The file is too large')
  const contentType = normaliseContentType(upload.contentType)
  const stripped = withoutMetadata(upload.stream, contentType, limitBytes, heldMemory(ctx))
  await keepFile(ctx, stripped, limitBytes, (tx, file) =>
    adopt(tx, { ...file, contentType, uploadName: upload.fileName }),
  )
}
