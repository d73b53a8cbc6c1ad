import { createCipheriv, createDecipheriv } from 'node:crypto'
import { type Random } from '../../random.ts'
import { createKeyringFile } from './file-store.ts'
import { KeyringError } from './keyring.ts'
import { type KeyringStore } from './store.ts'
import { connectTransit, type VaultSettings, versionOf } from './transit.ts'

const magic = Buffer.from('LETHE VAULTED KEYRING 1\n')
const keyBytes = 32
const ivBytes = 12
const tagBytes = 16
/** How often a reading begins anew because the file was replaced under it. */
const readAttempts = 3

/** What a vaulted file is made of. */
interface Vaulted {
  /** The key of the file, encrypted by Transit. */
  readonly wrapped: string
  /** All that stands before the initialisation vector: it is bound to what follows. */
  readonly header: Buffer
  readonly body: Buffer
}

/**
 * Keeps the keyring in a file that only a Vault or an OpenBao can open: it is encrypted under a key that is new with each
 * writing, and that key by the Transit engine, under a version that is new as well. Once the file is replaced, the versions
 * before are destroyed in Vault: then no older copy of the file can be opened, wherever it lies. Vault never sees the
 * keyring, and its limits on the size of requests do not matter.
 *
 * A crash at any point leaves a file that can be read, since versions are destroyed last; the next writing destroys what
 * was left.
 */
export function createVaultStore(path: string, settings: VaultSettings, random: Random): KeyringStore {
  const file = createKeyringFile(path)
  const transit = connectTransit(settings)
  return {
    place: path,
    async read() {
      let bytes = await file.read()
      for (let attempt = 1; bytes !== null; attempt++) {
        const vaulted = parse(bytes, path)
        const key = await transit.decrypt(vaulted.wrapped)
        if (key !== null) return open(vaulted, key, path)
        // Another process may have replaced it meanwhile, and destroyed the version that this one was under.
        const again = await file.read()
        if (again !== null && (again.equals(bytes) || attempt === readAttempts)) {
          throw new KeyringError(`${path} is an older copy of the keyring: the key it was encrypted under has been destroyed in Vault. Put the newest copy back.`) // prettier-ignore
        }
        bytes = again
      }
      return null
    },
    async write(bytes) {
      await transit.rotate()
      const key = Buffer.from(random.bytes(keyBytes))
      const wrapped = await transit.encrypt(key)
      await file.write(seal(bytes, wrapped, key, Buffer.from(random.bytes(ivBytes))))
      key.fill(0)
      await transit.destroyBefore(versionOf(wrapped) ?? 1)
    },
  }
}

function seal(bytes: Buffer, wrapped: string, key: Buffer, iv: Buffer): Buffer {
  const header = Buffer.concat([magic, Buffer.from(`${wrapped}\n`)])
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  cipher.setAAD(header)
  return Buffer.concat([header, iv, cipher.update(bytes), cipher.final(), cipher.getAuthTag()])
}

function parse(bytes: Buffer, path: string): Vaulted {
  const end = bytes.indexOf(0x0a, magic.length)
  if (!bytes.subarray(0, magic.length).equals(magic) || end < 0 || bytes.length < end + 1 + ivBytes + tagBytes) {
    throw new KeyringError(
      `${path} is not a keyring that was encrypted with Vault. To move one there, make a backup of it under the settings ` +
        'before ("lethe keys backup"), and restore that under these ("lethe keys restore").',
    )
  }
  const wrapped = bytes.subarray(magic.length, end).toString()
  return { wrapped, header: bytes.subarray(0, end + 1), body: bytes.subarray(end + 1) }
}

function open({ header, body }: Vaulted, key: Buffer, path: string): Buffer {
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, body.subarray(0, ivBytes))
    decipher.setAAD(header)
    decipher.setAuthTag(body.subarray(-tagBytes))
    return Buffer.concat([decipher.update(body.subarray(ivBytes, -tagBytes)), decipher.final()])
  } catch {
    throw new KeyringError(`${path}: It is damaged: it is not what was encrypted with Vault.`)
  } finally {
    key.fill(0)
  }
}
