import { createHash } from 'node:crypto'
import { type Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { type Entry, openPromise, type ZipFile } from 'yauzl'
import { codeOf } from '../../errors.ts'
import { BackupError, entries, type Manifest, parseManifest } from './manifest.ts'

/** The longest list of contents that is read: a million files. */
const manifestLimitBytes = 256 * 1024 * 1024

/** A backup that is open for reading. */
export interface ArchiveReader {
  readonly manifest: Manifest
  /** The bytes of an entry that the manifest names. */
  read(path: string): Promise<Readable>
  /** Reads all of it and throws `BackupError` unless every byte is what the manifest says. `onBytes` is told how many went by. */
  verify(onBytes: (bytes: number) => void): Promise<void>
  close(): void
}

/** Opens a backup and reads its list of contents. Throws `BackupError` for what is none, or is not whole. */
export async function openArchive(path: string): Promise<ArchiveReader> {
  const zip = await openZip(path)
  try {
    const found = new Map<string, Entry>()
    for await (const entry of zip.eachEntry()) found.set(entry.fileName, entry)
    const read = async (name: string): Promise<Readable> => {
      const entry = found.get(name)
      if (!entry) throw new BackupError(`The backup is damaged: ${name} is missing.`)
      return zip.openReadStreamPromise(entry)
    }
    const listed = found.get(entries.manifest)
    if (!listed || listed.uncompressedSize > manifestLimitBytes) throw new BackupError(`${path} is not a backup of Lethe’s.`) // prettier-ignore
    const manifest = parseManifest((await buffer(await read(entries.manifest))).toString())
    return {
      manifest,
      read,
      verify: onBytes => verify(manifest, found, read, onBytes),
      close: () => zip.close(),
    }
  } catch (error) {
    zip.close()
    throw damaged(error)
  }
}

async function openZip(path: string): Promise<ZipFile> {
  try {
    return await openPromise(path, { lazyEntries: true, autoClose: false })
  } catch (error) {
    const code = codeOf(error)
    if (code !== null) throw new BackupError(`${path} cannot be read (${code}).`)
    throw new BackupError(`${path} is not a backup of Lethe’s, or is not whole.`)
  }
}

/** What the library says of a file that is not whole is not for operators. */
function damaged(error: unknown): BackupError {
  return error instanceof BackupError ? error : new BackupError('The backup is damaged: it cannot be unpacked.')
}

async function verify(
  manifest: Manifest,
  found: ReadonlyMap<string, Entry>,
  read: (path: string) => Promise<Readable>,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const parts = [
    ...manifest.tables.map(table => ({ ...table, path: entries.table(table.name) })),
    ...manifest.files.map(file => ({ ...file, rows: null, path: entries.file(file.name) })),
    ...(manifest.signing_key ? [{ ...manifest.signing_key, rows: null, path: entries.signingKey }] : []),
  ]
  const named = new Set<string>([entries.manifest, entries.note, ...parts.map(({ path }) => path)])
  for (const path of found.keys()) {
    if (!named.has(path)) throw new BackupError(`The backup is damaged: nobody knows of the ${path} in it.`)
  }
  for (const part of parts) {
    const hash = createHash('sha256')
    let bytes = 0
    let rows = 0
    try {
      for await (const chunk of await read(part.path)) {
        const piece = chunk as Buffer // A byte stream gives bytes.
        hash.update(piece)
        bytes += piece.length
        if (part.rows !== null) rows += linesIn(piece)
        onBytes(piece.length)
      }
    } catch (error) {
      throw damaged(error)
    }
    const isWhole = bytes === part.bytes && hash.digest('hex') === part.sha256
    if (!isWhole || (part.rows !== null && rows !== part.rows)) throw new BackupError(`The backup is damaged: ${part.path} is not what was written.`) // prettier-ignore
  }
}

/** How many lines end in a piece of text. */
export function linesIn(piece: Buffer): number {
  let count = 0
  for (let at = piece.indexOf(0x0a); at >= 0; at = piece.indexOf(0x0a, at + 1)) count++
  return count
}
