import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { systemClock } from '../clock.ts'
import { type Config, loadConfig } from '../config.ts'
import { codeOf } from '../errors.ts'
import { silentLogger } from '../log.ts'
import { decryptBackup, encryptBackup } from '../privacy/keyring/backup.ts'
import { createKeyringFile } from '../privacy/keyring/file-store.ts'
import { decodeKeyring, encodeKeyring, type Keyring, KeyringError, withoutKeys } from '../privacy/keyring/keyring.ts'
import { keyringStoreOf } from '../privacy/keyring/open-store.ts'
import { passedBucket, placeOf } from '../privacy/seal.ts'
import { systemRandom } from '../random.ts'
import { withDatabase } from '../server.ts'
import { newSigningKeyLine } from '../signing-key.ts'
import { whileAlone } from '../storage/advisory-lock.ts'
import { type Database, transaction } from '../storage/database.ts'
import { countDeadSeals, deadSeals, keyringRow, lockKeyring, noteKeyring, skipUserNumbers } from '../storage/keyring-row.ts' // prettier-ignore
import { type CommonOptions, exits, type Outcome, show, withConfig } from './command.ts'
import { explain } from './explain.ts'

export type KeysOptions = CommonOptions & { readonly passphraseFile?: string; readonly acceptOlder?: boolean }

/** How many notes of dead keys a restore deals with; the sweeper sees to the rest. */
const deadSealLimit = 1_000_000

/** Runs a command about the keyring, which opens the database but no keyring: that may be what is amiss. */
export async function withKeys(
  options: KeysOptions,
  work: (config: Config, db: Database) => Promise<Outcome>,
): Promise<number> {
  const loaded = loadConfig({ configFile: options.config ?? null })
  if (!loaded.ok) return withConfig(options, () => ({ json: null, lines: [] }))
  const { config } = loaded
  try {
    return show(await withDatabase(config, silentLogger, db => work(config, db)), options)
  } catch (error) {
    const text = explain(error).replace('Lethe could not start: ', '')
    if (options.json === true) process.stdout.write(`${JSON.stringify({ error: text })}\n`)
    process.stderr.write(`${text}\n`)
    return exits.failed
  }
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
  const passphrase = await readPassphrase(options)
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
  const passphrase = await readPassphrase(options)
  const keyring = decodeKeyring(await decryptBackup(await readBackup(file), passphrase))
  const done = await whileAlone(db, 'running', () => takeOn(config, db, keyring, options.acceptOlder === true))
  if (done) return done
  throw new KeyringError('A server runs on this database: stop it first.')
}

async function takeOn(config: Config, db: Database, copy: Keyring, acceptsOlder: boolean): Promise<Outcome> {
  return transaction(db, async tx => {
    const row = await lockKeyring(tx)
    if (copy.serverName !== config.serverName || copy.id !== row.keyringId) {
      throw new KeyringError(`It is the keyring of another database (of "${copy.serverName}"): this one cannot be read with it.`) // prettier-ignore
    }
    const isOlder = copy.serial < row.serial
    if (isOlder && !acceptsOlder) {
      throw new KeyringError(
        `The backup is older (serial ${copy.serial}) than what the database has seen (${row.serial}). Keys that were destroyed ` +
          'since are back in it: what was deleted or redacted meanwhile could be read again in old copies of the database. ' +
          'If there is no newer one, take it on with --accept-older.',
      )
    }
    const seals = await deadSeals(tx, deadSealLimit)
    const places = seals.flatMap(seal => placeOf(seal) ?? [])
    const left = withoutKeys(copy, { places, throughBucket: passedBucket(systemClock.now()) })
    const serial = Math.max(copy.serial, row.serial) + 1
    const nextChunk = Math.max(copy.nextChunk, row.nextChunk)
    const written = { ...left, serial, nextChunk }
    await keyringStoreOf(config, systemRandom).write(encodeKeyring(written))
    await noteKeyring(tx, { keyringId: written.id, serial, nextChunk })
    if (written.lastErased > 0) await skipUserNumbers(tx, written.lastErased)
    const warning = 'It was older than the database: keys of what was deleted meanwhile, its time not having passed, are back.' // prettier-ignore
    return {
      json: { serial, was_older: isOlder },
      lines: [`The keyring is restored, as serial ${serial}.`, ...(isOlder ? [warning] : [])],
    }
  })
}

async function stored(config: Config): Promise<Keyring> {
  const store = keyringStoreOf(config, systemRandom)
  const bytes = await store.read()
  if (bytes === null) throw new KeyringError(`${store.place} is missing.`)
  return decodeKeyring(bytes)
}

async function readBackup(file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    throw new KeyringError(`${file} cannot be read (${codeOf(error) ?? 'unknown error'}).`)
  }
}

async function readPassphrase({ passphraseFile }: KeysOptions): Promise<string> {
  const given = process.env['LETHE_KEYS_PASSPHRASE']
  if (passphraseFile === undefined) {
    if (given) return given
    throw new KeyringError('The backup needs a passphrase: --passphrase-file FILE, or LETHE_KEYS_PASSPHRASE.')
  }
  return (await readBackup(passphraseFile)).toString().replace(/\r?\n$/, '')
}
