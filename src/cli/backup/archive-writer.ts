import { createHash } from 'node:crypto'
import { open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { ZipFile } from 'yazl'
import { codeOf } from '../../errors.ts'
import { systemRandom } from '../../random.ts'
import { BackupError } from './manifest.ts'

/** What an entry came to. */
export interface WrittenEntry {
  readonly bytes: number
  readonly sha256: string
}

/** Writes a ZIP file, entry after entry, that is there as a whole or not at all. */
export interface ArchiveWriter {
  /** `isPacked` false: it does not get smaller by packing. `onChunk` is told of every piece on its way. */
  add(path: string, content: Readable, options: { isPacked: boolean; onChunk?: (chunk: Buffer) => void }): Promise<WrittenEntry> // prettier-ignore
  /** Ends the file, makes it durable and puts it in its place. */
  finish(): Promise<void>
  /** Gives up: nothing is left. After `finish` nothing happens. */
  abandon(): Promise<void>
}

/** Only the operator may read it. */
const fileMode = 0o600

/** Fast rather than small: most of it is sealed, and gets no smaller. */
const compressionLevel = 1

/** A draft that nothing was written to for so long is one that a killed run has left. */
const abandonedMs = 3_600_000

/**
 * Begins a file beside its place, under a name that no other run has; what killed runs left there is removed. Throws
 * `BackupError`.
 */
export async function createArchive(path: string, createdAt: Date): Promise<ArchiveWriter> {
  const place = resolve(path)
  const draft = join(
    dirname(place),
    `.${basename(place)}.${Buffer.from(systemRandom.bytes(8)).toString('hex')}.unfinished`,
  )
  const file = await attempt(place, async () => {
    await removeAbandoned(place, createdAt.getTime() - abandonedMs)
    return open(draft, 'wx', fileMode)
  })
  const zip = new ZipFile()
  const failure = new Promise<never>((_, reject) => zip.on('error', reject))
  failure.catch(() => undefined)
  const written = attempt(place, async () => {
    // yazl's own stream is Node's `PassThrough`, whose chunks are bytes; its types know less.
    for await (const chunk of zip.outputStream as Readable) await file.writeFile(chunk as Buffer)
  })
  written.catch(() => undefined)
  let isOver = false
  return {
    async add(entry, content, { isPacked, onChunk }) {
      const hash = createHash('sha256')
      let bytes = 0
      const options = {
        mode: fileMode,
        mtime: createdAt,
        compressionLevel: isPacked ? compressionLevel : 0,
        // Nobody knows the size beforehand.
        forceZip64Format: true,
      }
      const passed = new Promise<void>((resolvePassed, reject) => {
        async function* watched() {
          try {
            for await (const chunk of content) {
              const piece = chunk as Buffer // A byte stream gives bytes.
              hash.update(piece)
              bytes += piece.length
              onChunk?.(piece)
              yield piece
            }
            resolvePassed()
          } catch (error) {
            reject(error instanceof Error ? error : new Error('A stream broke off'))
            throw error
          }
        }
        zip.addReadStream(Readable.from(watched(), { objectMode: false }), entry, options)
      })
      // A disk that is full ends the writing, and nothing would be taken from the stream any more.
      await Promise.race([passed, failure, written.then(() => passed)])
      return { bytes, sha256: hash.digest('hex') }
    },
    async finish() {
      zip.end()
      await Promise.race([written, failure])
      await attempt(place, async () => {
        await file.sync()
        await file.close()
        await rename(draft, place)
        await syncFolder(dirname(place))
      })
      isOver = true
    },
    async abandon() {
      if (isOver) return
      isOver = true
      // yazl's own stream is Node's `PassThrough`; its types know less.
      ;(zip.outputStream as Readable).destroy()
      await written.catch(() => undefined)
      await file.close().catch(() => undefined)
      await rm(draft, { force: true })
    },
  }
}

/** Removes drafts of a place that were last written to before a time. */
async function removeAbandoned(place: string, beforeTs: number): Promise<void> {
  const beginning = `.${basename(place)}.`
  for (const name of await readdir(dirname(place))) {
    if (!name.startsWith(beginning) || !/^([0-9a-f]{16}\.)?unfinished$/.test(name.slice(beginning.length))) continue
    const draft = join(dirname(place), name)
    // It may have come to its end meanwhile.
    const { mtimeMs } = await stat(draft).catch(() => ({ mtimeMs: Infinity }))
    if (mtimeMs < beforeTs) await rm(draft, { force: true })
  }
}

async function attempt<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw new BackupError(`${path} cannot be written (${codeOf(error) ?? 'unknown error'}).`)
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
