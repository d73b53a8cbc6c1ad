import { createHash } from 'node:crypto'
import { mkdir, open, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Readable } from 'node:stream'
import { codeOf, MatrixError, tooLarge } from '../errors.ts'
import { type MediaStore } from './media-store.ts'

/** An open file: the part of Node's `FileHandle` that the store needs. */
export interface OpenFile {
  /** Writes all of it after what was written before. */
  writeFile(bytes: Uint8Array): Promise<void>
  sync(): Promise<void>
  close(): Promise<void>
  stat(): Promise<{ readonly size: number }>
  createReadStream(): Readable
}

/** The part of `node:fs/promises` that the store needs; errors carry the system's `code`. */
export interface FileSystem {
  open(path: string, flags: 'r' | 'wx', mode?: number): Promise<OpenFile>
  /** Throws EEXIST for a folder that is there. */
  mkdir(path: string, mode: number): Promise<void>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
}

const nodeFileSystem: FileSystem = { open, mkdir: async (path, mode) => void (await mkdir(path, mode)), rename, unlink }

/** Only the server's own user may look into the store. */
const folderMode = 0o700
const fileMode = 0o600

/** The form of a name: no name can lead out of the folder, or differ from another by case alone. */
const namePattern = /^[0-9a-f]{32}$/

/**
 * Keeps media in a folder of the file system, which is made when it is needed, not so the folder around it. A file is written beside its place, made durable, moved to its place in one
 * step, and the folder is made durable too: whatever happens, a name stands for the whole file or for nothing. Names are 32
 * hexadecimal digits; anything else throws a `RangeError`. A disk that is full is a `MatrixError` with status 507.
 */
export function createFileStore(folder: string, files: FileSystem = nodeFileSystem): MediaStore {
  // At most one entry for each of the 65,793 folders.
  const durableFolders = new Set<string>()
  return {
    async write(name, stream, limitBytes) {
      const path = pathOf(folder, name)
      const shard = dirname(path)
      return write(files, path, stream, limitBytes, async () => {
        for (const each of [folder, dirname(shard), shard]) await makeFolder(files, each, durableFolders)
      })
    },
    async read(name) {
      const file = await openIfPresent(files, pathOf(folder, name))
      if (file === null) return null
      try {
        const { size } = await file.stat()
        return { stream: file.createReadStream(), sizeBytes: size }
      } catch (error) {
        await file.close()
        throw error
      }
    },
    // Files are what they are given as.
    sealOf: () => Promise.resolve(null),
    async remove(name) {
      const path = pathOf(folder, name)
      await unlinkIfPresent(files, unfinished(path))
      if (!(await unlinkIfPresent(files, path))) return false
      await syncFolder(files, dirname(path))
      return true
    },
  }
}

/** Two levels of 256 folders each, so that no folder grows large. */
function pathOf(folder: string, name: string): string {
  if (!namePattern.test(name)) throw new RangeError('not a name of the media store')
  return join(folder, name.slice(0, 2), name.slice(2, 4), name)
}

const unfinished = (path: string): string => `${path}.tmp`

async function write(
  files: FileSystem,
  path: string,
  stream: Readable,
  limitBytes: number,
  makeFolders: () => Promise<void>,
): Promise<{ sizeBytes: number; sha256: Buffer }> {
  try {
    await makeFolders()
    const written = await writeUnfinished(files, unfinished(path), stream, limitBytes)
    await files.rename(unfinished(path), path)
    await syncFolder(files, dirname(path))
    return written
  } catch (error) {
    await unlinkIfPresent(files, unfinished(path))
    await unlinkIfPresent(files, path)
    throw isFull(error) ? new MatrixError('M_UNKNOWN', 'The server has no room left for files', { status: 507 }) : error
  }
}

/** Makes a folder, and makes it durable: also one that is there, since somebody may have made it this very moment. */
async function makeFolder(files: FileSystem, path: string, durableFolders: Set<string>): Promise<void> {
  if (durableFolders.has(path)) return
  try {
    await files.mkdir(path, folderMode)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
  await syncFolder(files, dirname(path))
  durableFolders.add(path)
}

async function writeUnfinished(
  files: FileSystem,
  path: string,
  stream: Readable,
  limitBytes: number,
): Promise<{ sizeBytes: number; sha256: Buffer }> {
  const file = await files.open(path, 'wx', fileMode)
  try {
    const hash = createHash('sha256')
    let sizeBytes = 0
    // The stream is not destroyed when we stop early: it may be a request, whose sender is still to get an answer.
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      const bytes = chunk as Uint8Array // A byte stream gives bytes.
      sizeBytes += bytes.length
      if (sizeBytes > limitBytes) throw tooLarge('The file is too large')
      hash.update(bytes)
      await file.writeFile(bytes)
    }
    await file.sync()
    return { sizeBytes, sha256: hash.digest() }
  } finally {
    await file.close()
  }
}

async function syncFolder(files: FileSystem, path: string): Promise<void> {
  const folder = await files.open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

async function openIfPresent(files: FileSystem, path: string): Promise<OpenFile | null> {
  try {
    return await files.open(path, 'r')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw error
  }
}

async function unlinkIfPresent(files: FileSystem, path: string): Promise<boolean> {
  try {
    await files.unlink(path)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
}

function isFull(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'ENOSPC' || code === 'EDQUOT'
}
