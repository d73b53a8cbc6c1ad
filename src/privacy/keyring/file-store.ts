import { chmod, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { codeOf } from '../../errors.ts'
import { KeyringError } from './keyring.ts'
import { type KeyringStore } from './store.ts'

/**
 * Keeps the keyring in a file of mode 0600, replaced in one step. The blocks of the file that was replaced are overwritten
 * with zeros: that reaches a disk that writes in place; solid-state disks and copying file systems keep old blocks for a
 * while, so the folder belongs on an encrypted volume that is in no backup.
 */
export function createKeyringFile(path: string): KeyringStore {
  return {
    place: path,
    async read() {
      try {
        if (((await stat(path)).mode & 0o077) !== 0) await chmod(path, 0o600)
        return await readFile(path)
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return null
        throw new KeyringError(`${path} cannot be read (${codeOf(error) ?? 'unknown error'}).`)
      }
    },
    async write(bytes) {
      const folder = dirname(path)
      const draft = join(folder, `.${basename(path)}.new`)
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 })
        // What a crash left there may hold keys that were destroyed since.
        await overwrite(draft)
        await rm(draft, { force: true })
        await writeDurably(draft, bytes, await ownerOf(path))
        const replaced = await openIfPresent(path)
        try {
          await rename(draft, path)
          await syncFolder(folder)
          if (replaced) await zero(replaced)
        } finally {
          await replaced?.close()
        }
      } catch (error) {
        throw new KeyringError(`${path} cannot be written (${codeOf(error) ?? 'unknown error'}).`)
      }
    },
  }
}

interface Owner {
  readonly uid: number
  readonly gid: number
}

/**
 * Whose the file is to be: whose it was, or its folder. Root runs a command now and then, and must not lock the server out
 * of its keys. `null` for anybody but root, who can give files to nobody.
 */
async function ownerOf(path: string): Promise<Owner | null> {
  if (process.getuid?.() !== 0) return null
  try {
    return await stat(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return stat(dirname(path))
    throw error
  }
}

async function writeDurably(path: string, bytes: Buffer, owner: Owner | null): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    if (owner) await file.chown(owner.uid, owner.gid)
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
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

type OpenFile = Awaited<ReturnType<typeof open>>

async function openIfPresent(path: string): Promise<OpenFile | null> {
  try {
    return await open(path, 'r+')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw error
  }
}

async function overwrite(path: string): Promise<void> {
  const file = await openIfPresent(path)
  try {
    if (file) await zero(file)
  } finally {
    await file?.close()
  }
}

async function zero(file: OpenFile): Promise<void> {
  const { size } = await file.stat()
  await file.write(Buffer.alloc(size), 0, size, 0)
  await file.sync()
}
