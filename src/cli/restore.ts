import { createHash } from 'node:crypto'
import { chown, mkdir, open, readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type Config } from '../config.ts'
import { codeOf } from '../errors.ts'
import { silentLogger } from '../log.ts'
import { forgetUnreadable } from '../privacy/forget-unreadable.ts'
import { inventory } from '../privacy/inventory.ts'
import { decodeKeyring, type Keyring, standingOf } from '../privacy/keyring/keyring.ts'
import { keyringStoreOf } from '../privacy/keyring/open-store.ts'
import { type KeyringStore } from '../privacy/keyring/store.ts'
import { systemRandom } from '../random.ts'
import { sweep } from '../retention/sweeper.ts'
import { openContext, withDatabase } from '../server.ts'
import { signingKeyPath } from '../signing-key.ts'
import { whileAlone } from '../storage/advisory-lock.ts'
import { loadDatabase, occupancyOf } from '../storage/backup-write.ts'
import { type Database, patientTransaction, type Tx } from '../storage/database.ts'
import { createFileStore } from '../storage/media-file-store.ts'
import { missingFrom, readMigrations } from '../storage/migrate.ts'
import { markSetBack } from '../storage/set-back.ts'
import { type ArchiveReader, openArchive } from './backup/archive-reader.ts'
import { BackupError, entries, type Manifest } from './backup/manifest.ts'
import { Progress } from './backup/progress.ts'
import { type Outcome } from './command.ts'
import { type KeysOptions, readIfWhole, readKeysCopy, takeOnKeys } from './keys.ts'

export type RestoreOptions = KeysOptions & { readonly keys?: string; readonly after?: boolean }

/** Restores a backup, or takes note of what was restored by other means (`null`), and forgets what is to be forgotten. */
export async function restoreWhole(config: Config, file: string | null, options: RestoreOptions): Promise<Outcome> {
  const restored = await withDatabase(config, silentLogger, db =>
    file === null ? markRestored(db) : restore(config, db, file, options),
  )
  const finished = await finishRestoration(config)
  return { json: { ...restored.json, ...finished.json }, lines: [...restored.lines, ...finished.lines] }
}

interface Done {
  readonly json: object
  readonly lines: readonly string[]
}

/**
 * Puts a backup into an empty database and an empty media folder. Everything is checked before anything is written, and all
 * rows come in one transaction. Throws `BackupError`, `KeyringError`, `MigrationError`, `DatabaseError`.
 */
async function restore(config: Config, db: Database, file: string, options: RestoreOptions): Promise<Done> {
  const progress = new Progress(options.json === true)
  const archive = await openArchive(file)
  try {
    const { manifest } = archive
    if (manifest.server_name !== config.serverName) {
      throw new BackupError(`It is a backup of the server "${manifest.server_name}", and server_name says "${config.serverName}".`) // prettier-ignore
    }
    const keys = await keysFor(config, manifest, options)
    const isNewKey = await checkSigningKey(config, archive)
    await checkMedia(config, manifest)
    const all = await readMigrations()
    const since = missingFrom(all, manifest.migrations)
    progress.begin('Checking', [...manifest.tables, ...manifest.files].reduce((sum, part) => sum + part.bytes, 0), 'bytes') // prettier-ignore
    await archive.verify(bytes => progress.add(bytes))
    const done = await whileAlone(db, 'running', async () => {
      if ((await occupancyOf(db.pool, new Set(Object.keys(inventory)))) === 'in use') {
        throw new BackupError('The database is not empty: a backup is restored into an empty one only. For the embedded database, move the folder postgres in the data folder away.') // prettier-ignore
      }
      const beforeCommit = async (tx: Tx) => {
        await restoreFiles(config, archive, progress)
        if (isNewKey) await restoreSigningKey(config, archive)
        // Last, for it may bring an end to what was there before.
        if (keys) await takeOnKeys(config, tx, keys, { acceptsOlder: options.acceptOlder === true, db: null })
      }
      progress.begin('Tables', manifest.tables.reduce((sum, { rows }) => sum + rows, 0), 'rows') // prettier-ignore
      await loadDatabase(db, {
        migrationsOfCopy: all.filter(migration => !since.includes(migration)),
        migrationsSince: since,
        tables: manifest.tables,
        sequences: manifest.sequences.map(each => ({ name: each.name, lastValue: each.last_value, isCalled: each.is_called })), // prettier-ignore
        rowsOf: table => archive.read(entries.table(table.name)),
        beforeCommit,
      })
      return true
    })
    if (!done) throw new BackupError('A server runs on this database: stop it first.')
    return {
      json: { server_name: manifest.server_name, created_ts: manifest.created_ts, rows: manifest.tables.reduce((sum, { rows }) => sum + rows, 0), media_files: manifest.files.length, migrated: since.map(({ name }) => name) }, // prettier-ignore
      lines: [
        `Restored ${file}, of ${new Date(manifest.created_ts).toISOString()}.`,
        ...since.map(({ name }) => `Applied ${name}`),
      ],
    }
  } finally {
    progress.end()
    archive.close()
  }
}

/** The keyring that is to open what is restored: `null` if it is in its place, else the copy that was named. */
async function keysFor(
  config: Config,
  { keyring: known, server_name: serverName }: Manifest,
  options: RestoreOptions,
): Promise<Keyring | null> {
  const store = keyringStoreOf(config, systemRandom)
  const copy = options.keys === undefined ? null : await readKeysCopy(options.keys, options)
  const inPlace = copy ? await readIfWhole(store) : await readWhole(store)
  const keyring = copy ?? inPlace
  if (!keyring) {
    if (known.id === null) return null
    throw new BackupError(
      `${store.place} is missing, and nothing that was said can be read without it. Put it back, or name a copy of it with --keys FILE.`,
    )
  }
  const standing = standingOf(keyring, { serverName, keyringId: known.id, serial: known.serial, intent: null })
  if (known.id === null || standing === 'foreign') {
    throw new BackupError(`${copy ? options.keys : store.place} is the keyring of another database (of "${keyring.serverName}"): the backup cannot be read with it.`) // prettier-ignore
  }
  if (copy && inPlace && inPlace.id !== copy.id) {
    throw new BackupError(`${store.place} is the keyring of another database (of "${inPlace.serverName}"): move it away first, it would be overwritten.`) // prettier-ignore
  }
  if (copy && inPlace && inPlace.serial > copy.serial) {
    throw new BackupError(`${store.place} is newer than the copy of it: leave --keys out.`)
  }
  checkGeneration(keyring, known.generation)
  if (standing === 'older' && options.acceptOlder !== true) {
    throw new BackupError(
      `The keyring is older (serial ${keyring.serial}) than the backup (${known.serial}): what was sealed since cannot be told from ` +
        'what was destroyed since. If there is no newer one, take it on with --keys and --accept-older.',
    )
  }
  return copy ?? (standing === 'older' ? keyring : null)
}

async function readWhole(store: KeyringStore): Promise<Keyring | null> {
  const bytes = await store.read()
  return bytes && decodeKeyring(bytes)
}

/** Throws `BackupError` where a rotation of the keys lies between a keyring and a backup. `null`: nobody noted which keys those of the backup are. */
function checkGeneration({ generation, before }: Keyring, ofBackup: number | null): void {
  if (ofBackup === null || ofBackup === generation || ofBackup === before?.generation) return
  throw new BackupError(
    ofBackup > generation
      ? 'The keyring is from before a rotation of the keys, and opens nothing of what was sealed in the backup since: a newer one is needed.'
      : 'The backup is from before a rotation of the keys, and nothing in it can be read any more: the keys of then are destroyed.',
  )
}

/** True if the backup's key is to be written. Throws `BackupError` where there would be none, or another. */
async function checkSigningKey(config: Config, archive: ArchiveReader): Promise<boolean> {
  // It is kept in a secret.
  if (config.signingKey !== null) return false
  const path = signingKeyPath(config.dataDir)
  const inPlace = await readFile(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return null
    throw new BackupError(`${path} cannot be read (${codeOf(error) ?? 'unknown error'}).`)
  })
  const wanted = archive.manifest.signing_key
  if (!wanted) {
    if (inPlace) return false
    throw new BackupError(`The signing key is not in the backup: put the server’s own at ${path} first.`)
  }
  if (!inPlace) return true
  if (createHash('sha256').update(inPlace).digest('hex') === wanted.sha256) return false
  throw new BackupError(
    `${path} is another signing key than the backup’s: move it away, if it is not the server’s own.`,
  )
}

async function restoreSigningKey(config: Config, archive: ArchiveReader): Promise<void> {
  const path = signingKeyPath(config.dataDir)
  const bytes = await buffer(await archive.read(entries.signingKey))
  await mkdir(dirname(path), { recursive: true, mode: 0o711 })
  const file = await open(path, 'w', 0o600)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  await giveToServer(config, [path])
}

/** Root restores for a server that runs as another user: that one gets the files whose the data folder is. */
async function giveToServer(config: Config, paths: Iterable<string>): Promise<void> {
  if (process.getuid?.() !== 0) return
  const { uid, gid } = await stat(config.dataDir)
  for (const path of paths) await chown(path, uid, gid)
}

const shardPattern = /^[0-9a-f]{2}$/

/** Files that are there already may be those of the backup, from a restoration that was broken off; no others. */
async function checkMedia(config: Config, manifest: Manifest): Promise<void> {
  const { path } = config.media.store
  const known = new Set(manifest.files.map(({ name }) => name))
  for (const name of await filesIn(path)) {
    if (!known.has(name)) throw new BackupError(`${path} holds files that are not in the backup: a backup is restored into an empty folder only.`) // prettier-ignore
  }
}

async function filesIn(path: string): Promise<string[]> {
  const found: string[] = []
  for (const outer of await shardsOf(path)) {
    for (const inner of await shardsOf(join(path, outer))) {
      const names = await readdir(join(path, outer, inner))
      found.push(...names.filter(name => /^[0-9a-f]{32}$/.test(name)))
    }
  }
  return found
}

async function shardsOf(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).filter(name => shardPattern.test(name))
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw new BackupError(`${path} cannot be read (${codeOf(error) ?? 'unknown error'}).`)
  }
}

async function restoreFiles(config: Config, archive: ArchiveReader, progress: Progress): Promise<void> {
  const { files } = archive.manifest
  const { path } = config.media.store
  progress.begin('Media', files.length, 'files')
  if (files.length === 0) return
  await mkdir(dirname(path), { recursive: true, mode: 0o711 })
  const store = createFileStore(path)
  const written: string[] = []
  try {
    for (const { name, sha256, bytes } of files) {
      // What a restoration that was killed had begun.
      await store.remove(name)
      const done = await store.write(name, await archive.read(entries.file(name)), bytes)
      written.push(name)
      if (done.sha256.toString('hex') !== sha256) throw new BackupError(`The backup is damaged: ${entries.file(name)} is not what was written.`) // prettier-ignore
      progress.add(1)
    }
    await giveToServer(config, new Set(written.flatMap(name => [path, join(path, name.slice(0, 2)), join(path, name.slice(0, 2), name.slice(2, 4)), join(path, name.slice(0, 2), name.slice(2, 4), name)]))) // prettier-ignore
  } catch (error) {
    for (const name of written) await store.remove(name)
    throw error
  }
}

/**
 * What is done after a database was set back, by "lethe restore" or otherwise: what expired meanwhile is deleted, and what
 * the keyring cannot open any more. May be killed and begun again; a server does the same while it runs.
 */
async function finishRestoration(config: Config): Promise<Done> {
  const { ctx, close } = await openContext({ config, logger: silentLogger })
  try {
    const swept = await sweep(ctx)
    const forgotten = await forgetUnreadable(ctx, ctx.shutdown)
    // Their keys are gone; so are now the notes of them.
    await sweep(ctx)
    const { erased, closed, messages, media, unknown } = forgotten ?? {
      erased: 0,
      closed: 0,
      messages: 0,
      media: 0,
      unknown: 0,
    }
    return {
      json: { expired: swept?.events ?? 0, erased_accounts: erased, closed_accounts: closed, unreadable_messages: messages, unreadable_media: media, unknown_keys: unknown }, // prettier-ignore
      lines: [
        `Deleted what is to be forgotten: ${swept?.events ?? 0} messages that had expired, ${messages} that had been redacted or deleted, ${erased} accounts that had been erased, ${media} files; closed ${closed} accounts that had been closed.`, // prettier-ignore
        ...(unknown > 0 ? [`${unknown} messages and files are sealed under keys that the keyring knows nothing of, from before a rotation or from after it was copied: they were left as they are.`] : []), // prettier-ignore
        'One-time keys were dropped, so that none is handed out twice: clients make new ones by themselves. Links for joining are void.',
        'Devices that were signed out and passwords that were changed after the backup are as they were before: have a look.',
      ],
    }
  } finally {
    await close()
  }
}

/** Marks a database that was restored by other means, where nothing tells so: not even its keyring is newer than it. */
async function markRestored(db: Database): Promise<Done> {
  const done = await whileAlone(db, 'running', async () => {
    await patientTransaction(db, markSetBack)
    return true
  })
  if (!done) throw new BackupError('A server runs on this database: stop it first.')
  return { json: {}, lines: [] }
}
