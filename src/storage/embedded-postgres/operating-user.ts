import { readFile, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { systemErrorCode } from './error.ts'

/** The operating system's user that Postgres runs as. */
export interface OperatingUser {
  readonly uid: number
  readonly gid: number
  /** True when that is this process's own user, so that nothing is handed over. */
  readonly isOwn: boolean
}

interface PasswdEntry {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** Accounts made for Postgres on Linux and on macOS. */
const POSTGRES_ACCOUNTS: readonly string[] = ['postgres', '_postgres']
/** `nobody` on Linux, whether or not it has an entry. */
const NOBODY = 65534

/** The entries of /etc/passwd; empty when there is no such file, as in the barest images. */
export async function passwdEntries(): Promise<readonly PasswdEntry[]> {
  let text: string
  try {
    text = await readFile('/etc/passwd', 'utf8')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return []
    throw error
  }
  return text.split('\n').flatMap(line => {
    const [name, , uid, gid] = line.split(':')
    if (name === undefined || !/^-?\d+$/.test(uid ?? '') || !/^-?\d+$/.test(gid ?? '')) return []
    return [{ name, uid: Number(uid), gid: Number(gid) }]
  })
}

/**
 * Postgres refuses to run as root. Started by anyone else, it runs as that user; started by root, as the owner of the
 * cluster if there is one already, else as the account made for Postgres, else as `nobody`.
 */
export async function chooseOperatingUser(clusterFolder: string): Promise<OperatingUser> {
  // Only Windows lacks these, for which there is no package.
  const uid = process.geteuid?.() ?? 0
  const gid = process.getegid?.() ?? 0
  if (uid !== 0) return { uid, gid, isOwn: true }
  const owner = await ownerOf(clusterFolder)
  if (owner !== null && owner.uid !== 0) return { ...owner, isOwn: false }
  const account = (await passwdEntries()).find(({ name }) => POSTGRES_ACCOUNTS.includes(name))
  return { uid: account?.uid ?? NOBODY, gid: account?.gid ?? NOBODY, isOwn: false }
}

async function ownerOf(path: string): Promise<{ uid: number; gid: number } | null> {
  try {
    const { uid, gid } = await stat(path)
    return { uid, gid }
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null
    throw error
  }
}

/** True when the user may pass through every folder of the path, the last included, by the permission bits. */
export async function canReach(folder: string, user: OperatingUser): Promise<boolean> {
  if (user.isOwn) return true
  for (let path = resolve(folder); ; path = dirname(path)) {
    const { mode, uid, gid } = await stat(path)
    const searchBit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001
    if ((mode & searchBit) === 0) return false
    if (path === dirname(path)) return true
  }
}
