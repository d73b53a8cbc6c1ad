import { Readable } from 'node:stream'
import { LRUCache } from 'lru-cache'
import { type Context, perServer } from '../context.ts'
import { MatrixError, notFound, tooLarge } from '../errors.ts'
import { type MediaId } from '../protocol/media-id.ts'
import {
  insertThumbnail, insertUnreferencedFiles, type StoredFile, thumbnailOf, type ThumbnailSize,
} from '../storage/media.ts' // prettier-ignore
import { type AvailableMedia, findMedia, type MediaRequest, openFile, type OpenMedia } from './download.ts'
import { keepFile } from './files.ts'
import { type ImageFormat, imageFormatOf, imageHeadBytes } from './image-format.ts'
import { thumbnailSizeFor } from './thumbnail-size.ts'
import { runThumbnailer, type ThumbnailFailure } from './thumbnailer.ts'

/** Larger files are not read into memory for a thumbnail. */
const sourceLimitBytes = 64 * 1024 * 1024
/** How many images that cannot be read are remembered as such. */
const failureLimit = 10_000

export interface ThumbnailRequest extends MediaRequest {
  /** The least that the client would like, in pixels. */
  readonly width: number
  readonly height: number
  readonly method: 'crop' | 'scale'
  /** Whether an animation is welcome. */
  readonly isAnimated: boolean
}

interface Workshop {
  /** Thumbnails that are being made: whoever asks for the same waits for the same. */
  readonly inProgress: Map<string, Promise<StoredFile>>
  readonly failures: LRUCache<MediaId, 'unreadable' | 'tooLarge'>
}

const workshopOf = perServer((): Workshop => ({ inProgress: new Map(), failures: new LRUCache({ max: failureLimit }) }))

/**
 * A thumbnail, made when it is first asked for, in the smallest of the fixed sizes that will do. An image that is small
 * already is answered in its own size, made anew all the same: so metadata and whatever else a file may hold are gone.
 * Throws what `findMedia` throws; 400 M_UNKNOWN for what is not an image that this server can read; M_TOO_LARGE;
 * M_LIMIT_EXCEEDED. https://spec.matrix.org/v1.19/client-server-api/#thumbnails
 */
export async function openThumbnail(ctx: Context, request: ThumbnailRequest): Promise<OpenMedia> {
  const media = await findMedia(ctx, request)
  const size = thumbnailSizeFor(request.width, request.height, request.method)
  const thumbnail =
    (await thumbnailOf(ctx.db.kysely, media.mediaId, size, request.isAnimated)) ??
    (await make(ctx, media, size, request.isAnimated))
  const [, extension = ''] = thumbnail.contentType.split('/')
  return openFile(ctx, thumbnail, `thumbnail.${extension}`)
}

function make(ctx: Context, media: AvailableMedia, size: ThumbnailSize, isAnimated: boolean): Promise<StoredFile> {
  const { inProgress } = workshopOf(ctx)
  const key = [media.mediaId, size.width, size.height, size.method, isAnimated].join(' ')
  const running = inProgress.get(key)
  if (running) return running
  const started = makeAndKeep(ctx, media, size, isAnimated).finally(() => inProgress.delete(key))
  inProgress.set(key, started)
  return started
}

async function makeAndKeep(
  ctx: Context,
  media: AvailableMedia,
  size: ThumbnailSize,
  isAnimated: boolean,
): Promise<StoredFile> {
  const { mediaId, file } = media
  const { failures } = workshopOf(ctx)
  const known = failures.get(mediaId)
  if (known) throw refusal(known)
  if (file.sizeBytes > sourceLimitBytes) throw refusal('tooLarge')
  const format = await formatOf(ctx, file)
  const made = format === null ? 'unreadable' : await runThumbnailer(ctx, () => openStream(ctx, file), format, size, isAnimated) // prettier-ignore
  if (typeof made === 'string') {
    if (made === 'unreadable' || made === 'tooLarge') failures.set(mediaId, made)
    throw refusal(made)
  }
  const contentType = `image/${imageFormatOf(made)}`
  return keepFile(ctx, Readable.from([made]), made.length, async (tx, { fileName, sizeBytes }) => {
    const thumbnail = { fileName, sizeBytes, contentType }
    const outcome = await insertThumbnail(tx, mediaId, size, isAnimated, thumbnail)
    if (outcome === 'gone') throw notFound('No such media')
    if (outcome === 'added') return thumbnail
    // Another process made the same and was faster: what we made is for the sweeper.
    await insertUnreferencedFiles(tx, [fileName], ctx.clock.now())
    return (await thumbnailOf(tx, mediaId, size, isAnimated)) ?? thumbnail
  })
}

async function openStream(ctx: Context, file: StoredFile): Promise<Readable> {
  return (await openFile(ctx, file, null)).stream
}

/** Looks at the beginning of a file: nothing but an image is worth a process. */
async function formatOf(ctx: Context, file: StoredFile): Promise<ImageFormat | null> {
  let head = Buffer.alloc(0)
  // Leaving the loop closes the file.
  for await (const chunk of await openStream(ctx, file)) {
    head = Buffer.concat([head, chunk as Uint8Array]) // A byte stream gives bytes.
    if (head.length >= imageHeadBytes) break
  }
  return imageFormatOf(head)
}

function refusal(failure: ThumbnailFailure): MatrixError {
  switch (failure) {
    case 'tooLarge':
      return tooLarge('That image is too large for a thumbnail')
    case 'unreadable':
    case 'interrupted':
    case 'unavailable':
      return new MatrixError('M_UNKNOWN', 'There can be no thumbnail of that')
  }
}
