import { resolve } from 'node:path'
import { systemClock } from '../clock.ts'
import { type Config } from '../config.ts'
import { silentLogger } from '../log.ts'
import { decryptBackup, encryptBackup } from '../privacy/keyring/backup.ts'
import { createKeyringFile } from '../privacy/keyring/file-store.ts'
import { keptAlive } from '../privacy/keyring/keep-living.ts'
import {
  decodeKeyring,
  encodeKeyring,
  type Keyring,
  KeyringError,
  type SealPlace,
  standingOf,
  withoutKeys,
} from '../privacy/keyring/keyring.ts'
import { keyringStoreOf } from '../privacy/keyring/open-store.ts'
import { putKeyring } from '../privacy/keyring/put-keyring.ts'
import { type KeyringStore } from '../privacy/keyring/store.ts'
import { passedBucket, placeOf } from '../privacy/seal.ts'
import { sealOfFile } from '../privacy/sealed-media.ts'
import { systemRandom } from '../random.ts'
import { withDatabase } from '../server.ts'
import { newSigningKeyLine } from '../signing-key.ts'
import { whileAlone } from '../storage/advisory-lock.ts'
import { type Database, patientTransaction, type Tx } from '../storage/database.ts'
import { countDeadSeals, deadSeals, keyringRow, lockKeyring } from '../storage/keyring-row.ts'
import { createFileStore } from '../storage/media-file-store.ts'
import { closedAccounts, fileNamesInTables, sealsInTables } from '../storage/sealed-places.ts'
import { markSetBack } from '../storage/set-back.ts'
import { type CommonOptions, type Outcome, show, withSettings } from './command.ts'
import { readNamedFile, readPassphrase } from './passphrase.ts'

export type KeysOptions = CommonOptions & { readonly passphraseFile?: string; readonly acceptOlder?: boolean }

/** How many notes of dead keys a restore deals with; the sweeper sees to the rest. */
const deadSealLimit = 1_000_000

/** Runs a command about the keyring, which opens the database but no keyring: that may be what is amiss. */
export function withKeys(
  options: CommonOptions,
  work: (config: Config, db: Database) => Promise<Outcome>,
): Promise<number> {
  return withSettings(options, config => withDatabase(config, silentLogger, db => work(config, db)))
}

/** A signing key that nobody else has, in the form that the setting `signing_key` takes. */
export function newSigningKey(options: CommonOptions): number {
  const line = newSigningKeyLine(systemRandom).trimEnd()
  return show({ json: { signing_key: line }, lines: [line] }, options)
}

/** Where the keyring is, how large it is, and what waits to be destroyed. */
export async function keysStatus(config: Config, db: Database): Promise<Outcome> {
  const store = keyringStoreOf(config, systemRandom)
  const keyring = await stored(config)
  const { size } = keyring.tree
  const json = {
    place: store.place,
    in_vault: config.sealing.keyring.vault !== null,
    serial: keyring.serial,
    serial_in_database: (await keyringRow(db.kysely)).serial,
    bytes: encodeKeyring(keyring).length,
    nodes: size,
    generation: keyring.generation,
    rotation_unfinished: keyring.before !== null,
    keys_to_destroy: await countDeadSeals(db.kysely),
  }
  return { json, lines: Object.entries(json).map(([key, value]) => `${key}: ${value}`) }
}

/** Writes an encrypted copy of the keyring over the one before. */
export async function backUpKeys(config: Config, file: string, options: KeysOptions): Promise<Outcome> {
  const passphrase = await readPassphrase(options, true)
  const keyring = await stored(config)
  const bytes = await encryptBackup(encodeKeyring(keyring), passphrase, systemRandom)
  await createKeyringFile(resolve(file)).write(bytes)
  return {
    json: { file, serial: keyring.serial },
    lines: [
      `Wrote the keyring, as of serial ${keyring.serial}, to ${file}.`,
      'It opens everything that was readable now: overwrite it often, and keep no older ones.',
    ],
  }
}

/** Puts a backup in the place of the keyring. Refuses while a server runs, and copies that are another database's or too old. */
export async function restoreKeys(config: Config, db: Database, file: string, options: KeysOptions): Promise<Outcome> {
  const copy = await readKeysCopy(file, options)
  const taken = await whileAlone(db, 'running', () =>
    patientTransaction(db, tx => takeOnKeys(config, tx, copy, { acceptsOlder: options.acceptOlder === true, db })),
  )
  if (!taken) throw new KeyringError('A server runs on this database: stop it first.')
  const { serial, wasOlder } = taken
  const warning = [
    'It was older than the database: of its keys only those stayed whose values the database still holds.',
    'What comes is sealed under new ones; "lethe keys rotate" seals the rest under them too.',
  ]
  return {
    json: { serial, was_older: wasOlder },
    lines: [`The keyring is restored, as serial ${serial}.`, ...(wasOlder ? warning : [])],
  }
}

/** The keyring in an encrypted copy of it. Throws `KeyringError`. */
export async function readKeysCopy(file: string, options: KeysOptions): Promise<Keyring> {
  const bytes = await readNamedFile(file)
  return decodeKeyring(await decryptBackup(bytes, await readPassphrase(options, false)))
}

/** What came of taking on a copy of the keyring. */
export interface TakenOn {
  readonly serial: number
  readonly wasOlder: boolean
}

/**
 * Puts a copy of the keyring in its place, while no server runs. What the database knows to be destroyed is destroyed in it; of
 * an older copy nothing stays but what the database still holds, since the rest may have been destroyed meanwhile. `db`: see
 * `putKeyring`. Throws `KeyringError`.
 */
export async function takeOnKeys(
  config: Config,
  tx: Tx,
  copy: Keyring,
  { acceptsOlder, db }: { readonly acceptsOlder: boolean; readonly db: Database | null },
): Promise<TakenOn> {
  const store = keyringStoreOf(config, systemRandom)
  const row = await lockKeyring(tx)
  const standing = row.keyringId === null ? 'foreign' : standingOf(copy, { serverName: config.serverName, ...row })
  if (standing === 'foreign') {
    throw new KeyringError(`It is the keyring of another database (of "${copy.serverName}"): this one cannot be read with it.`) // prettier-ignore
  }
  if (standing === 'older' && !acceptsOlder) {
    throw new KeyringError(
      `The backup is older (serial ${copy.serial}) than what the database has seen (${row.serial}). Keys that were destroyed ` +
        'since are back in it. If there is no newer one, take it on with --accept-older: then of its keys only those stay whose ' +
        'values the database still holds.',
    )
  }
  const inPlace = await readIfWhole(store)
  // Where the database was set back it knows less of what was destroyed than the keyring that is there.
  if (standing !== 'older' && inPlace?.id === copy.id && inPlace.serial > copy.serial) {
    throw new KeyringError(`${store.place} is newer than the copy of it: it is the one to go on with.`)
  }
  if (inPlace && inPlace.id !== copy.id) {
    throw new KeyringError(`${store.place} is the keyring of another database (of "${inPlace.serverName}"): move it away first, it would be overwritten.`) // prettier-ignore
  }
  const seals = await deadSeals(tx, deadSealLimit)
  const places = seals.flatMap(seal => placeOf(seal) ?? [])
  const known = standing === 'older' ? await onlyLiving(config, tx, copy) : copy
  const left = withoutKeys(known, { places, throughBucket: passedBucket(systemClock.now()) })
  // The other way round: it is the database that was set back.
  if (standing === 'newer') await markSetBack(tx)
  const serial = Math.max(copy.serial, row.serial) + 1
  const taken = { ...left, serial, nextChunk: Math.max(left.nextChunk, row.nextChunk) }
  // Should that not come to its end, the next one is to see still that the database was set back.
  await putKeyring(tx, taken, { store, db: standing === 'newer' ? null : db })
  return { serial, wasOlder: standing === 'older' }
}

/** The keyring in its place; `null` where there is none, or it is damaged or cannot be read: that is what a copy is for. */
export async function readIfWhole(store: KeyringStore): Promise<Keyring | null> {
  try {
    const bytes = await store.read()
    return bytes && decodeKeyring(bytes)
  } catch (error) {
    if (error instanceof KeyringError) return null
    throw error
  }
}

/** A copy without the keys of what the tables and the media folder no longer hold. */
async function onlyLiving(config: Config, tx: Tx, copy: Keyring): Promise<Keyring> {
  const { closed, erased } = await closedAccounts(tx)
  return keptAlive(copy, { places: placesIn(config, tx), closed, erased }, systemRandom)
}

async function* placesIn(config: Config, tx: Tx): AsyncGenerator<SealPlace> {
  for await (const seal of sealsInTables(tx)) {
    const place = placeOf(seal)
    if (place) yield place
  }
  const store = createFileStore(config.media.store.path)
  for (const name of await fileNamesInTables(tx)) {
    const seal = await sealOfFile(store, name)
    const place = seal && placeOf(seal)
    if (place) yield place
  }
}

async function stored(config: Config): Promise<Keyring> {
  const store = keyringStoreOf(config, systemRandom)
  const bytes = await store.read()
  if (bytes === null) throw new KeyringError(`${store.place} is missing.`)
  return decodeKeyring(bytes)
}
