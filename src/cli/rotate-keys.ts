import { systemClock } from '../clock.ts'
import { type Config } from '../config.ts'
import { silentLogger } from '../log.ts'
import { KeyringError } from '../privacy/keyring/keyring.ts'
import { openKeyring } from '../privacy/keyring/open-keyring.ts'
import { keyringStoreOf } from '../privacy/keyring/open-store.ts'
import { rotateKeys } from '../privacy/rotate.ts'
import { createSealer } from '../privacy/seal.ts'
import { createSealedStore } from '../privacy/sealed-media.ts'
import { systemRandom } from '../random.ts'
import { whileAlone } from '../storage/advisory-lock.ts'
import { type Database } from '../storage/database.ts'
import { createFileStore } from '../storage/media-file-store.ts'
import { Progress } from './backup/progress.ts'
import { type CommonOptions, type Outcome } from './command.ts'

/** Makes new keys and seals everything under them. Refuses while a server runs. */
export async function rotateServerKeys(config: Config, db: Database, options: CommonOptions): Promise<Outcome> {
  const base = { db, random: systemRandom, clock: systemClock, logger: silentLogger }
  const store = keyringStoreOf(config, systemRandom)
  if (!config.sealing.enabled)
    throw new KeyringError('Sealing is switched off: nothing would be sealed under new keys.')
  const done = await whileAlone(db, 'running', async () => {
    const keyring = await openKeyring({ ...base, store, serverName: config.serverName })
    const sealer = createSealer({
      keys: () => keyring.keys,
      takeChunk: () => keyring.takeChunk(),
      now: () => systemClock.now(),
      random: systemRandom,
      isOn: true,
    })
    const mediaStore = createSealedStore(createFileStore(config.media.store.path), sealer)
    const progress = new Progress(options.json === true)
    const { values, files } = await rotateKeys({ ...base, keyring, sealer, mediaStore }, progress)
    progress.end()
    return { values, files }
  })
  if (!done) throw new KeyringError('A server runs on this database: stop it first.')
  return {
    json: { ...done },
    lines: [
      `Sealed ${done.values} values and ${done.files} files under new keys; those from before are destroyed.`,
      'Backups of the keyring and of the database from before open nothing any more: make new ones now.',
    ],
  }
}
