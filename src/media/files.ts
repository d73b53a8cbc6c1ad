import { type Readable } from 'node:stream'
import { type Context } from '../context.ts'
import { MatrixError } from '../errors.ts'
import { describeError } from '../log.ts'
import { transaction, type Tx } from '../storage/database.ts'
import { noteDeadSeals } from '../storage/keyring-row.ts'
import { deleteUnreferencedFiles, filesToRemove, insertUnreferencedFiles } from '../storage/media.ts'

/** Longer than any upload can take (`requestTimeoutMs` of the HTTP server): a file that is noted for longer is left over. */
const writingTimeMs = 24 * 3_600_000

/** What keeping files takes: also without a running server. */
export type FileContext = Pick<Context, 'db' | 'mediaStore' | 'clock' | 'random' | 'logger'>

/** A file that is whole and durable. */
export interface WrittenFile {
  readonly fileName: string
  readonly sizeBytes: number
  readonly sha256: Buffer
}

/**
 * Keeps a stream as a file of the media store, and commits the row that refers to it: `adopt` writes that row, and refuses
 * by throwing a `MatrixError`. Nothing stays behind when either fails. Whatever point a crash strikes at, the file is
 * referred to by its row or noted for removal. Throws M_TOO_LARGE for more than `limitBytes`.
 */
export async function keepFile<T>(
  ctx: FileContext,
  stream: Readable,
  limitBytes: number,
  adopt: (tx: Tx, file: WrittenFile) => Promise<T>,
): Promise<T> {
  const fileName = Buffer.from(ctx.random.bytes(16)).toString('hex')
  await transaction(ctx.db, tx => insertUnreferencedFiles(tx, [fileName], ctx.clock.now() + writingTimeMs))
  let written
  try {
    written = await ctx.mediaStore.write(fileName, stream, limitBytes)
  } catch (error) {
    await abandon(ctx, fileName)
    throw error
  }
  const file = { fileName, ...written }
  try {
    return await transaction(ctx.db, async tx => {
      if ((await deleteUnreferencedFiles(tx, [fileName])) !== 1) throw new MatrixError('M_UNKNOWN', 'The upload took too long', { status: 408 }) // prettier-ignore
      return adopt(tx, file)
    })
  } catch (error) {
    // After any other failure nobody knows whether the row was committed; if it was not, the note is still there.
    if (error instanceof MatrixError) await abandon(ctx, fileName)
    throw error
  }
}

/** Removes a file that came to nothing. If that fails the note stays, and the sweeper removes it. */
async function abandon(ctx: FileContext, fileName: string): Promise<void> {
  try {
    await removeFiles(ctx, [fileName])
  } catch (error) {
    ctx.logger.warn('A file of the media store could not be removed yet', describeError(error))
  }
}

/** Removes files that are noted as unreferenced, and then the notes. */
export async function removeFiles(ctx: FileContext, fileNames: readonly string[]): Promise<void> {
  const seals = await Promise.all(fileNames.map(fileName => ctx.mediaStore.sealOf(fileName)))
  // Before the file is gone, and with it the knowledge of its key.
  await transaction(ctx.db, tx => noteDeadSeals(tx, seals.filter(seal => seal !== null))) // prettier-ignore
  for (const fileName of fileNames) await ctx.mediaStore.remove(fileName)
  await transaction(ctx.db, tx => deleteUnreferencedFiles(tx, fileNames))
}

/** Removes at most `limit` files whose time has come. Returns how many there were. */
export async function removeLeftOverFiles(ctx: Context, limit: number): Promise<number> {
  const fileNames = await filesToRemove(ctx.db.kysely, ctx.clock.now(), limit)
  await removeFiles(ctx, fileNames)
  return fileNames.length
}
