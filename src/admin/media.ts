import { type Context } from '../context.ts'
import { invalidParam, notFound } from '../errors.ts'
import { deleteMedia } from '../media/delete.ts'
import { type RoomId, type ServerName, type UserId } from '../protocol/identifiers.ts'
import { type MediaId, parseMediaId } from '../protocol/media-id.ts'
import {
  type ListedMedia,
  listedMedia,
  listMediaOf,
  mediaBefore,
  mediaOfRoom,
  setProtected,
  setQuarantined,
} from '../storage/admin-media.ts'
import { transaction } from '../storage/database.ts'
import { localAccount } from './local-account.ts'
import { knownRoom } from './room-access.ts'

/** How much one request deletes at most; asking again deletes the next. */
export const deletedAtOnce = 1_000

/** Media of this server by the names in a path. Throws `notFound` for another server's, of which nothing is kept. */
export async function ownMedia(ctx: Context, serverName: ServerName, text: string): Promise<ListedMedia> {
  const mediaId = parseMediaId(text)
  const found =
    serverName === ctx.serverName && mediaId !== null
      ? await listedMedia(ctx.db.kysely, ctx.numbers.sealer, mediaId)
      : null
  if (!found) throw notFound('Unknown media')
  return found
}

/** Deletes all that is listed; returns the names of those that were there. */
async function deleteAll(ctx: Context, mediaIds: readonly MediaId[]): Promise<MediaId[]> {
  const deleted: MediaId[] = []
  for (const mediaId of mediaIds) if (await deleteMedia(ctx, mediaId)) deleted.push(mediaId)
  return deleted
}

/** Deletes one upload. Throws `notFound`. */
export async function deleteOne(ctx: Context, serverName: ServerName, text: string): Promise<MediaId[]> {
  const { mediaId } = await ownMedia(ctx, serverName, text)
  return deleteAll(ctx, [mediaId])
}

/** Deletes a page of a user's uploads, as they are listed. Throws `notFound`. */
export async function deleteOfUser(
  ctx: Context,
  userId: UserId,
  page: Parameters<typeof listMediaOf>[3],
): Promise<MediaId[]> {
  const { userNumber } = await localAccount(ctx, userId)
  const { media } = await listMediaOf(ctx.db.kysely, ctx.numbers.sealer, userNumber, page)
  return deleteAll(
    ctx,
    media.map(({ mediaId }) => mediaId),
  )
}

/** Times below this are taken for seconds, and the request for a mistake that would delete nothing: 1990 in milliseconds. */
const leastTs = 631_152_000_000

/** Deletes uploads from before a time, larger than so many bytes. Throws `invalidParam` for a time in seconds or to come. */
export async function deleteBefore(ctx: Context, wanted: Parameters<typeof mediaBefore>[1]): Promise<MediaId[]> {
  if (wanted.beforeTs < leastTs || wanted.beforeTs > ctx.clock.now()) {
    throw invalidParam('before_ts must be in milliseconds since the epoch, and not in the future')
  }
  return deleteAll(ctx, await mediaBefore(ctx.db.kysely, wanted, deletedAtOnce))
}

/** Keeps everybody from seeing one upload, or lets them again. Nothing happens to protected media. Throws `notFound`. */
export async function quarantineOne(ctx: Context, serverName: ServerName, text: string, isIn: boolean): Promise<void> {
  const { mediaId } = await ownMedia(ctx, serverName, text)
  await transaction(ctx.db, tx => setQuarantined(tx, { mediaId }, isIn))
}

/** Keeps everybody from seeing what a user uploaded, but for what is protected. Returns how many. Throws `notFound`. */
export async function quarantineOfUser(ctx: Context, userId: UserId): Promise<number> {
  const { userNumber } = await localAccount(ctx, userId)
  return transaction(ctx.db, tx => setQuarantined(tx, { userNumber }, true))
}

/** What is told of a room's media at most. */
const toldOfRoom = 10_000

/** The addresses of what messages of a room show, as far as they are not encrypted. Throws `notFound`. */
export async function mediaInRoom(ctx: Context, roomId: RoomId): Promise<string[]> {
  const { facts } = await knownRoom(ctx, roomId)
  const found = await mediaOfRoom(ctx.db.kysely, facts.roomNumber, toldOfRoom)
  return found.map(mediaId => `mxc://${ctx.serverName}/${mediaId}`)
}

/** Keeps everybody from seeing what messages of a room show, but for what is protected. Returns how many. Throws `notFound`. */
export async function quarantineOfRoom(ctx: Context, roomId: RoomId): Promise<number> {
  const { facts } = await knownRoom(ctx, roomId)
  return transaction(ctx.db, tx => setQuarantined(tx, { shownIn: facts.roomNumber }, true))
}

/** Keeps an upload out of quarantine from now on, or no longer. Throws `notFound`. */
export async function protectOne(ctx: Context, text: string, isProtected: boolean): Promise<void> {
  const mediaId = parseMediaId(text)
  if (mediaId === null || !(await transaction(ctx.db, tx => setProtected(tx, mediaId, isProtected)))) {
    throw notFound('Unknown media')
  }
}

/** An upload in the fields that Synapse has. When it was last seen is not known here. */
export function mediaAnswer(media: ListedMedia) {
  return {
    media_id: media.mediaId,
    media_type: media.contentType,
    media_length: media.sizeBytes,
    upload_name: media.uploadName,
    created_ts: media.createdTs,
    last_access_ts: null,
    quarantined_by: media.isQuarantined ? 'an administrator' : null,
    safe_from_quarantine: media.isProtected,
  }
}
