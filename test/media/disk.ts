import { basename, dirname } from 'node:path'
import { Readable } from 'node:stream'
import { type FileSystem, type OpenFile } from '../../src/storage/media-file-store.ts'

interface File {
  kind: 'file'
  bytes: Buffer
  /** How many of them have been synced. */
  durable: number
}

interface Folder {
  kind: 'folder'
  /** Also the root's: what is in it now. */
  entries: Map<string, File | Folder>
  /** What of that is on the disk for certain. */
  durable: Map<string, File | Folder>
}

const newFolder = (): Folder => ({ kind: 'folder', entries: new Map(), durable: new Map() })

class SystemError extends Error {
  readonly code: string
  constructor(code: string) {
    super(code)
    this.code = code
  }
}

/**
 * A disk in memory that remembers what has been synced. `fail` is asked before each operation; it may throw in its place.
 * `crash` loses what was not synced, or some of it: a file may be cut anywhere after what was, and an entry of a folder may be
 * as it was before.
 */
export class Disk implements FileSystem {
  readonly #root: Folder
  readonly #fail: (operation: string) => void

  constructor(fail: (operation: string) => void = () => undefined, root: Folder = newFolder()) {
    this.#fail = fail
    this.#root = root
  }

  /** The disk after the power went; `coin` decides what of the unsynced survives. */
  crash(coin: () => boolean, fraction: () => number): Disk {
    const after = (node: File | Folder): File | Folder => {
      if (node.kind === 'file') {
        const kept = node.durable + Math.floor(fraction() * (node.bytes.length - node.durable + 1))
        return { kind: 'file', bytes: node.bytes.subarray(0, kept), durable: kept }
      }
      const folder = newFolder()
      for (const name of new Set([...node.entries.keys(), ...node.durable.keys()])) {
        const [now, before] = [node.entries.get(name), node.durable.get(name)]
        const survivor = now === before || coin() ? now : before
        if (survivor) folder.entries.set(name, after(survivor))
      }
      folder.durable = new Map(folder.entries)
      return folder
    }
    return new Disk(undefined, after(this.#root) as Folder) // A folder stays a folder.
  }

  /** The names of all files. */
  files(folder: Folder = this.#root): string[] {
    return [...folder.entries].flatMap(([name, node]) => (node.kind === 'file' ? [name] : this.files(node)))
  }

  async open(path: string, flags: 'r' | 'wx'): Promise<OpenFile> {
    await this.#operation('open')
    if (flags === 'r') return this.#handle(this.#find(path))
    const { entries } = this.#folder(dirname(path))
    if (entries.has(basename(path))) throw new SystemError('EEXIST')
    const file: File = { kind: 'file', bytes: Buffer.alloc(0), durable: 0 }
    entries.set(basename(path), file)
    return this.#handle(file)
  }

  async mkdir(path: string): Promise<void> {
    await this.#operation('mkdir')
    const { entries } = this.#folder(dirname(path))
    if (entries.has(basename(path))) throw new SystemError('EEXIST')
    entries.set(basename(path), newFolder())
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#operation('rename')
    const node = this.#find(from)
    this.#folder(dirname(from)).entries.delete(basename(from))
    this.#folder(dirname(to)).entries.set(basename(to), node)
  }

  async unlink(path: string): Promise<void> {
    await this.#operation('unlink')
    this.#find(path)
    this.#folder(dirname(path)).entries.delete(basename(path))
  }

  #handle(node: File | Folder): OpenFile {
    const file = (): File => {
      if (node.kind === 'folder') throw new SystemError('EISDIR')
      return node
    }
    return {
      writeFile: async bytes => {
        await this.#operation('write')
        file().bytes = Buffer.concat([file().bytes, bytes])
      },
      sync: async () => {
        await this.#operation('sync')
        if (node.kind === 'file') node.durable = node.bytes.length
        else node.durable = new Map(node.entries)
      },
      close: () => Promise.resolve(),
      stat: async () => {
        await this.#operation('stat')
        return { size: file().bytes.length }
      },
      createReadStream: () => Readable.from([file().bytes], { objectMode: false }),
    }
  }

  async #operation(name: string): Promise<void> {
    await Promise.resolve()
    this.#fail(name)
  }

  #find(path: string): File | Folder {
    if (path === '/') return this.#root
    const node = this.#folder(dirname(path)).entries.get(basename(path))
    if (!node) throw new SystemError('ENOENT')
    return node
  }

  #folder(path: string): Folder {
    const node = this.#find(path)
    if (node.kind === 'file') throw new SystemError('ENOTDIR')
    return node
  }
}

export { SystemError }
