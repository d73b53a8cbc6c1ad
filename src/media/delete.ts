import { type Context } from '../context.ts'
import { type MediaId } from '../protocol/media-id.ts'
import { transaction } from '../storage/database.ts'
import { deleteMediaRows, deleteVoidMedia, insertUnreferencedFiles, mediaOfUser } from '../storage/media.ts'
import { looseLifetimeMs } from './lifetime.ts'
import { removeFiles, removeLeftOverFiles } from './files.ts'

/** How many things one step of the sweeper deletes. */
const batchLimit = 100

/**
 * Deletes media: its row, its thumbnails and the files of all of them. From the commit on nobody can read it; should the
 * files outlive a crash, `sweepMedia` removes them. False if there was none.
 */
export async function deleteMedia(ctx: Context, mediaId: MediaId): Promise<boolean> {
  const fileNames = await transaction(ctx.db, async tx => {
    const names = await deleteMediaRows(tx, mediaId)
    if (names) await insertUnreferencedFiles(tx, names, ctx.clock.now())
    return names
  })
  if (!fileNames) return false
  await removeFiles(ctx, fileNames)
  return true
}

/** Deletes all media that the user uploaded. Returns how many there were. */
export async function deleteMediaOfUser(ctx: Context, userNumber: number): Promise<number> {
  let count = 0
  for (;;) {
    const batch = await mediaOfUser(ctx.db.kysely, userNumber, batchLimit)
    if (batch.length === 0) return count
    for (const mediaId of batch) if (await deleteMedia(ctx, mediaId)) count += 1
  }
}

/**
 * One step of the sweeper: deletes media that are void (see `isVoid`), and files that a crash left behind. Returns how many
 * things went; 0 when nothing is left to do.
 */
export async function sweepMedia(ctx: Context): Promise<number> {
  const nowTs = ctx.clock.now()
  const lifetimeMs = looseLifetimeMs(ctx)
  const looseBeforeTs = lifetimeMs === null ? null : nowTs - lifetimeMs
  const { count, fileNames } = await transaction(ctx.db, async tx => {
    const deleted = await deleteVoidMedia(tx, nowTs, looseBeforeTs, batchLimit)
    await insertUnreferencedFiles(tx, deleted.fileNames, nowTs)
    return deleted
  })
  await removeFiles(ctx, fileNames)
  return count + (await removeLeftOverFiles(ctx, batchLimit))
}
