import { createCipheriv, createDecipheriv } from 'node:crypto'
import { hashRaw } from '@node-rs/argon2'
import { type Random } from '../../random.ts'
import { KeyringError } from './keyring.ts'

const magic = Buffer.from('LETHE KEYRING BACKUP 1\n')
/** `Algorithm.Argon2id`, whose enumeration has no values at run time. */
const argon2id = 2
const saltBytes = 16
const ivBytes = 12
const tagBytes = 16
/** Shorter ones are guessed, whatever guessing costs. */
export const shortestPassphrase = 12

/** The bytes of a backup: the keyring under a key that is made of the passphrase (Argon2id, then AES-256-GCM). */
export async function encryptBackup(keyring: Buffer, passphrase: string, random: Random): Promise<Buffer> {
  if (passphrase.length < shortestPassphrase) {
    throw new KeyringError(`The passphrase is too short: it needs at least ${shortestPassphrase} characters.`)
  }
  const salt = Buffer.from(random.bytes(saltBytes))
  const iv = Buffer.from(random.bytes(ivBytes))
  const header = Buffer.concat([magic, salt])
  const cipher = createCipheriv('aes-256-gcm', await keyOf(passphrase, salt), iv)
  cipher.setAAD(header)
  return Buffer.concat([header, iv, cipher.update(keyring), cipher.final(), cipher.getAuthTag()])
}

/** The keyring's bytes. Throws `KeyringError` for what is no backup, is damaged, or has another passphrase. */
export async function decryptBackup(bytes: Buffer, passphrase: string): Promise<Buffer> {
  const headerBytes = magic.length + saltBytes
  if (!bytes.subarray(0, magic.length).equals(magic) || bytes.length < headerBytes + ivBytes + tagBytes) {
    throw new KeyringError('It is not a backup of a keyring.')
  }
  const header = bytes.subarray(0, headerBytes)
  const key = await keyOf(passphrase, header.subarray(magic.length))
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(headerBytes, headerBytes + ivBytes))
  decipher.setAAD(header)
  decipher.setAuthTag(bytes.subarray(-tagBytes))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(headerBytes + ivBytes, -tagBytes)), decipher.final()])
  } catch {
    throw new KeyringError('It cannot be opened: the passphrase is another, or the backup is damaged.')
  }
}

function keyOf(passphrase: string, salt: Buffer): Promise<Buffer> {
  return hashRaw(passphrase, { algorithm: argon2id, memoryCost: 65_536, timeCost: 3, parallelism: 1, outputLen: 32, salt }) // prettier-ignore
}
