import { chmod, link, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from './errors.ts'
import { decodeBase64, encodeBase64 } from './protocol/hashes.ts'
import { type SigningKey, signingKeyFromSeed } from './protocol/signatures.ts'
import { type Random } from './random.ts'

/** The server cannot start; the message is for the operator and quotes no secret. */
export class SigningKeyError extends Error {
  override readonly name = 'SigningKeyError'
}

const fileName = 'signing.key'
const algorithm = 'ed25519'

/** Where the key lies. */
export const signingKeyPath = (dataDir: string): string => join(dataDir, fileName)

/**
 * The key that signs this server's events, from `signing.key` in the data folder: one line, `ed25519 <name> <seed>`. Where
 * there is no such file it is made, of mode 0600, unless `mustExist`: a server that has signed events and lost its key must
 * not go on with another one by itself. Throws `SigningKeyError`.
 */
export async function loadSigningKey(
  dataDir: string,
  random: Random,
  mustExist: () => Promise<boolean>,
): Promise<SigningKey> {
  const path = signingKeyPath(dataDir)
  const existing = await readKeyFile(path)
  if (existing !== null) return existing
  if (await mustExist()) {
    throw new SigningKeyError(
      `${path} is missing, and the database holds events that were signed with it. Restore the file from a backup.`,
    )
  }
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  // Written under another name and then linked, so that the file is whole or absent, and of two processes one wins.
  const draft = `${path}.${process.pid}`
  await writeFile(draft, newSigningKeyLine(random), { mode: 0o600, flag: 'w', flush: true })
  try {
    await link(draft, path)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  } finally {
    await rm(draft, { force: true })
  }
  const made = await readKeyFile(path)
  if (made === null) throw new SigningKeyError(`${path} could not be written`)
  return made
}

async function readKeyFile(path: string): Promise<SigningKey | null> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw new SigningKeyError(`${path} cannot be read (${codeOf(error) ?? 'unknown error'})`)
  }
  // Whoever can read the key can speak for the server.
  if (((await stat(path)).mode & 0o077) !== 0) await chmod(path, 0o600)
  return parseSigningKey(text, path)
}

/** A new key, as the line of its file. */
export function newSigningKeyLine(random: Random): string {
  return `${algorithm} a_${random.letters(6)} ${encodeBase64(random.bytes(32))}\n`
}

/** The key of a line `ed25519 <name> <seed>`; `place` is what the `SigningKeyError` names when it is none. */
export function parseSigningKey(text: string, place: string): SigningKey {
  const [kind, name, seed, ...rest] = text.trim().split(/\s+/)
  const bytes = seed === undefined ? null : decodeBase64(seed)
  if (kind !== algorithm || name === undefined || !/^\w+$/.test(name) || bytes?.length !== 32 || rest.length > 0) {
    throw new SigningKeyError(`${place} does not hold one line "ed25519 <name> <seed>"`)
  }
  return signingKeyFromSeed(bytes, `${algorithm}:${name}`)
}
