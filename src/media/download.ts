import { type Readable } from 'node:stream'
import { type Context } from '../context.ts'
import { MatrixError, notFound } from '../errors.ts'
import { type RequestEnd } from '../http/endpoint.ts'
import { type ServerName } from '../protocol/identifiers.ts'
import { type MediaId } from '../protocol/media-id.ts'
import { type Media, mediaOf, type StoredFile } from '../storage/media.ts'
import { awaitArrival } from './arrivals.ts'
import { isVoid } from './lifetime.ts'

/** How long a download waits for an upload that has been announced, unless the client says otherwise. */
export const defaultDownloadTimeoutMs = 20_000
/** The longest that a client may ask for. */
export const longestDownloadTimeoutMs = 60_000

/** Which media is asked for, and how long the asker would wait for its upload. */
export interface MediaRequest {
  readonly serverName: ServerName
  readonly mediaId: MediaId
  readonly timeoutMs: number
  readonly end: RequestEnd
}

export type AvailableMedia = Media & { readonly file: NonNullable<Media['file']> }

/** Bytes on their way out. The stream must be read to its end or destroyed. */
export interface OpenMedia {
  readonly stream: Readable
  readonly contentType: string
  readonly sizeBytes: number
  /** The name that the uploader gave. */
  readonly fileName: string | null
}

const gone = (): MatrixError => notFound('No such media')

/**
 * Media that has content, if need be after waiting for it. Throws M_NOT_FOUND for media that does not exist or is not this
 * server's, 504 M_NOT_YET_UPLOADED when the wait was in vain.
 */
export async function findMedia(ctx: Context, request: MediaRequest): Promise<AvailableMedia> {
  if (request.serverName !== ctx.serverName) throw gone()
  const { mediaId, end } = request
  const timeoutMs = Math.min(request.timeoutMs, longestDownloadTimeoutMs)
  const found = await awaitArrival(ctx, mediaId, timeoutMs, end, async () => {
    const media = await mediaOf(ctx.db.kysely, ctx.numbers.sealer, mediaId)
    if (!media || media.isQuarantined || isVoid(ctx, media)) throw gone()
    return media.file && { ...media, file: media.file }
  })
  if (!found) throw new MatrixError('M_NOT_YET_UPLOADED', 'That media has not been uploaded yet')
  return found
}

/** Opens media for reading. Throws what `findMedia` throws. */
export async function openMedia(ctx: Context, request: MediaRequest): Promise<OpenMedia> {
  const { file } = await findMedia(ctx, request)
  return openFile(ctx, file, file.uploadName)
}

/** Opens a file that a row refers to. Throws M_NOT_FOUND if it has been deleted meanwhile. */
export async function openFile(ctx: Context, file: StoredFile, fileName: string | null): Promise<OpenMedia> {
  const opened = await ctx.mediaStore.read(file.fileName)
  if (!opened) throw gone()
  return { stream: opened.stream, sizeBytes: opened.sizeBytes, contentType: file.contentType, fileName }
}
