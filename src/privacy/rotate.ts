import { type FileContext, keepFile, removeFiles } from '../media/files.ts'
import { transaction } from '../storage/database.ts'
import {
  countUploadedFiles, deleteSomeThumbnails, insertUnreferencedFiles, mediaFilesAfter, replaceFile,
} from '../storage/media.ts' // prettier-ignore
import { sealedColumns } from '../storage/open-own-rows.ts'
import { blocksOf, replaceSealed, type SealedColumn, sealedRowsIn } from '../storage/reseal.ts'
import { inventory, type TableEntry } from './inventory.ts'
import { KeyringError } from './keyring/keyring.ts'
import { type OpenKeyring } from './keyring/open-keyring.ts'
import { placeOf, type Sealer } from './seal.ts'

/** How much of a table one transaction seals anew: 2 MiB. */
const blocksAtOnce = 256
const filesAtOnce = 100

/** What is needed to rotate keys: a database and its files, with no server running on them. */
export type RotationContext = FileContext & { readonly keyring: OpenKeyring; readonly sealer: Sealer }

/** Whom to tell how far it has come. */
export interface RotationProgress {
  begin(what: string, total: number, unit: string): void
  add(count: number): void
}

/**
 * Makes new keys and seals everything under them that is sealed, then destroys those from before: whoever has a copy of the
 * keyring as it was reads nothing with it that is written from now on, and nobody reads older copies of the database.
 * May be killed at any point: both keyrings open what they sealed until it has been run to its end. Returns how many values and
 * files were sealed anew. Throws `KeyringError`, and destroys nothing, if something does not open although its key is there.
 */
export async function rotateKeys(
  ctx: RotationContext,
  progress: RotationProgress,
): Promise<{ readonly values: number; readonly files: number }> {
  await ctx.keyring.beginRotation()
  const { before } = ctx.keyring.keys
  let values = 0
  const damaged: string[] = []
  for (const name of Object.keys(sealedColumns)) {
    const done = before && (await resealColumn(ctx, name, before.generation, progress))
    values += done?.count ?? 0
    if (done && done.damaged > 0) damaged.push(`${done.damaged} of ${name}`)
  }
  await dropThumbnails(ctx)
  const { files, damagedFiles } = await resealFiles(ctx, progress)
  if (damagedFiles.length > 0) damaged.push(`media ${damagedFiles.join(', ')}`)
  if (damaged.length > 0) {
    throw new KeyringError(`Some values do not open although their keys are there: ${damaged.join('; ')}. They may be damaged. No key was destroyed; delete them, and run it again.`) // prettier-ignore
  }
  await ctx.keyring.endRotation()
  return { values, files }
}

async function resealColumn(
  { db, sealer }: RotationContext,
  name: string,
  generation: number,
  progress: RotationProgress,
): Promise<{ count: number; damaged: number }> {
  const nameOf = sealedColumns[name]
  const column = columnOf(name)
  const blocks = await blocksOf(db.kysely, column.table)
  progress.begin(name, blocks, 'blocks')
  let count = 0
  let damaged = 0
  for (let start = 0; start < blocks; start += blocksAtOnce) {
    const end = Math.min(start + blocksAtOnce, blocks)
    await transaction(db, async tx => {
      const rows = await sealedRowsIn(tx, column, generation, start, end)
      const resealed = rows.flatMap(({ tid, sealed, row }) => {
        const anew = nameOf ? sealer.resealed(sealed, nameOf(row)) : 'damaged'
        if (anew === 'damaged') damaged++
        return anew === null || anew === 'damaged' ? [] : [{ tid, sealed: anew }]
      })
      await replaceSealed(tx, column, resealed)
      count += resealed.length
    })
    progress.add(end - start)
  }
  return { count, damaged }
}

function columnOf(name: string): SealedColumn {
  const [table = '', column = ''] = name.split('.')
  const entries: Readonly<Record<string, TableEntry>> = inventory
  const others = Object.keys(entries[table]?.columns ?? {}).filter(other => !(`${table}.${other}` in sealedColumns))
  return { table, column, others }
}

async function dropThumbnails(ctx: RotationContext): Promise<void> {
  for (let count = filesAtOnce; count === filesAtOnce;) {
    const fileNames = await transaction(ctx.db, async tx => {
      const names = await deleteSomeThumbnails(tx, filesAtOnce)
      await insertUnreferencedFiles(tx, names, ctx.clock.now())
      return names
    })
    await removeFiles(ctx, fileNames)
    count = fileNames.length
  }
}

async function resealFiles(
  ctx: RotationContext,
  progress: RotationProgress,
): Promise<{ readonly files: number; readonly damagedFiles: readonly string[] }> {
  let count = 0
  const damagedFiles: string[] = []
  progress.begin('media', await countUploadedFiles(ctx.db.kysely), 'files')
  for (let after = ''; ;) {
    const files = await mediaFilesAfter(ctx.db.kysely, after, filesAtOnce)
    for (const { mediaId, fileName } of files) {
      const outcome = await resealFile(ctx, mediaId, fileName)
      if (outcome === 'resealed') count++
      if (outcome === 'damaged') damagedFiles.push(mediaId)
      progress.add(1)
    }
    const last = files.at(-1)
    if (!last) return { files: count, damagedFiles }
    after = last.mediaId
  }
}

/** Gives an upload a file that is sealed anew, unless it is of the newest keys or cannot be opened any more. */
async function resealFile(
  ctx: RotationContext,
  mediaId: string,
  fileName: string,
): Promise<'resealed' | 'left' | 'damaged'> {
  const seal = await ctx.mediaStore.sealOf(fileName)
  const place = seal && placeOf(seal)
  if (!seal || !place || !ctx.sealer.isOutdated(seal) || !ctx.sealer.keyAt(place)) return 'left'
  if (!(await opens(ctx, fileName))) return 'damaged'
  const file = await ctx.mediaStore.read(fileName)
  if (!file) return 'left'
  await keepFile(ctx, file.stream, Infinity, async (tx, written) => {
    await replaceFile(tx, mediaId, written)
    await insertUnreferencedFiles(tx, [fileName], ctx.clock.now())
  })
  await removeFiles(ctx, [fileName])
  return 'resealed'
}

/** Reads a file to its end; false if a piece of it is not what was sealed. What the disk refuses to give is thrown. */
async function opens(ctx: RotationContext, fileName: string): Promise<boolean> {
  const file = await ctx.mediaStore.read(fileName)
  if (!file) return true
  try {
    for await (const _piece of file.stream) continue
    return true
  } catch (error) {
    // The system's errors name the call that failed; those of a cipher do not.
    if (error instanceof Error && 'syscall' in error) throw error
    return false
  }
}
