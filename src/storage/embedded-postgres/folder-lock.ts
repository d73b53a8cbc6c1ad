import { createHash } from 'node:crypto'
import { mkdir, open, readdir, realpath, rename, unlink, type FileHandle } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../clock.ts'
import { systemRandom } from '../../random.ts'
import { EmbeddedPostgresError, systemErrorCode } from './error.ts'

/** The exclusive use of a data folder, held until `release` or the end of the process, however that comes. */
export interface FolderLock {
  /** False when the folder's file system has no Unix sockets, so that Postgres's must lie elsewhere too. */
  readonly folderHasSockets: boolean
  release(): Promise<void>
}

/** `sun_path` holds 104 bytes on macOS and 108 on Linux, with a final NUL. */
export const SOCKET_PATH_LIMIT_BYTES = 103
const SUFFIX = '.lock'
const PROBE_TIMEOUT_MS = 2_000
const ATTEMPTS = 50
const NO_SOCKETS_HERE: ReadonlySet<string> = new Set(['ENOTSUP', 'EOPNOTSUPP', 'EPERM', 'EINVAL', 'ENOSYS', 'ENXIO'])

/**
 * Takes the lock of a data folder. Throws `EmbeddedPostgresError` when another process holds it.
 *
 * The kernel gives Node no flock, and a file with a process ID misleads once the ID is used again or means another process
 * in another container. So each contender listens on a Unix socket of its own in `<folder>/lock`, under a name that is never
 * used twice: a socket that answers belongs to a live process, one that refuses is dead for ever and is removed. Who has
 * listened and then finds nobody else alive holds the lock. Two that start together see each other (each listens before it
 * looks), withdraw and try again after random pauses.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  try {
    return await lockIn(join(folder, 'lock'), true)
  } catch (error) {
    if (!NO_SOCKETS_HERE.has(systemErrorCode(error) ?? '')) throw error
    const name = createHash('sha256').update(await realpath(folder)).digest('hex').slice(0, 16) // prettier-ignore
    return await lockIn(join(tmpdir(), `lethe-lock-${name}`), false)
  }
}

async function lockIn(lockFolder: string, folderHasSockets: boolean): Promise<FolderLock> {
  await mkdir(lockFolder, { recursive: true, mode: 0o700 })
  const handle = await open(lockFolder, 'r')
  try {
    // Linux reaches a folder through its descriptor by a short path, however deep it lies.
    const socketFolder = process.platform === 'linux' ? `/proc/self/fd/${handle.fd}` : lockFolder
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const contender = await contend(lockFolder, socketFolder)
      if (contender !== null) {
        const others = await askOthers(lockFolder, socketFolder, contender.name)
        if (others === 'none') {
          contender.state = 'held'
          await removeUnfinished(lockFolder)
          return { folderHasSockets, release: () => withdraw(lockFolder, contender, handle) }
        }
        await withdraw(lockFolder, contender, null)
        if (others !== 'trying') {
          throw new EmbeddedPostgresError(
            `Lethe is running on this data folder already (process ${others.heldBy}). Stop that process first, or give this one another data_dir.`,
          )
        }
      }
      await systemClock.sleep(10 + systemRandom.integer(100))
    }
    throw new EmbeddedPostgresError('Other processes keep starting on this data folder; none of them holds it.')
  } catch (error) {
    await handle.close()
    throw error
  }
}

interface Contender {
  readonly name: string
  readonly server: Server
  state: 'trying' | 'held'
}

/** Listens under a new name. Null when a holder removed the socket before it had its final name. */
async function contend(lockFolder: string, socketFolder: string): Promise<Contender | null> {
  const name = `${process.pid}-${Buffer.from(systemRandom.bytes(8)).toString('hex')}${SUFFIX}`
  const unfinished = `.${name}`
  const server = createServer()
  const contender: Contender = { name, server, state: 'trying' }
  server.on('connection', socket => {
    socket.on('error', () => socket.destroy())
    socket.end(`${contender.state} ${process.pid}\n`)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(join(socketFolder, unfinished), resolve)
  })
  server.unref()
  // Between bind and listen a socket refuses like a dead one; so it gets the name that others look at only now.
  try {
    await rename(join(lockFolder, unfinished), join(lockFolder, name))
  } catch (error) {
    server.close()
    if (systemErrorCode(error) === 'ENOENT') return null
    throw error
  }
  return contender
}

async function withdraw(lockFolder: string, contender: Contender, handle: FileHandle | null): Promise<void> {
  await removeIfThere(join(lockFolder, contender.name))
  await new Promise<void>(resolve => contender.server.close(() => resolve()))
  await handle?.close()
}

async function askOthers(
  lockFolder: string,
  socketFolder: string,
  own: string,
): Promise<'none' | 'trying' | { readonly heldBy: string }> {
  let someoneTries = false
  for (const name of await readdir(lockFolder)) {
    if (name === own || name.startsWith('.') || !name.endsWith(SUFFIX)) continue
    const answer = await ask(join(socketFolder, name))
    if (answer === 'dead') await removeIfThere(join(lockFolder, name))
    else if (answer === 'trying') someoneTries = true
    else return { heldBy: name.slice(0, name.indexOf('-')) }
  }
  return someoneTries ? 'trying' : 'none'
}

/** A live process that does not answer in time is taken for a holder: doubt refuses. */
function ask(path: string): Promise<'dead' | 'trying' | 'held'> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = connect(path)
    socket.setTimeout(PROBE_TIMEOUT_MS, () => {
      socket.destroy()
      resolve('held')
    })
    socket.setEncoding('utf8')
    socket.on('data', chunk => (text += String(chunk)))
    socket.on('end', () => resolve(text.startsWith('trying') ? 'trying' : 'held'))
    socket.on('error', error => {
      const code = systemErrorCode(error)
      if (code === 'ECONNREFUSED' || code === 'ENOENT' || code === 'ENOTSOCK') resolve('dead')
      else if (code === 'ECONNRESET' || code === 'EPIPE' || code === 'EAGAIN') resolve('held')
      else reject(error)
    })
  })
}

async function removeUnfinished(lockFolder: string): Promise<void> {
  for (const name of await readdir(lockFolder)) {
    if (name.startsWith('.') && name.endsWith(SUFFIX)) await removeIfThere(join(lockFolder, name))
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
}
