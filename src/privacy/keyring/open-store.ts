import { type Config } from '../../config.ts'
import { type Random } from '../../random.ts'
import { createKeyringFile } from './file-store.ts'
import { type KeyringStore } from './store.ts'
import { createVaultStore } from './vault-store.ts'

/** Where the settings say that the keyring is kept. Nothing is read or asked yet. */
export function keyringStoreOf(config: Config, random: Random): KeyringStore {
  const { path, vault } = config.sealing.keyring
  return vault === null ? createKeyringFile(path) : createVaultStore(path, vault, random)
}
