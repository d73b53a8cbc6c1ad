import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { systemClock } from '../clock.ts'
import { type Config } from '../config.ts'
import { codeOf } from '../errors.ts'
import { signingKeyPath } from '../signing-key.ts'
import { openSnapshot, type Snapshot } from '../storage/backup-read.ts'
import { type Database } from '../storage/database.ts'
import { createFileStore } from '../storage/media-file-store.ts'
import { version } from '../version.ts'
import { linesIn } from './backup/archive-reader.ts'
import { type ArchiveWriter, createArchive } from './backup/archive-writer.ts'
import { BackupError, entries, type Manifest } from './backup/manifest.ts'
import { Progress } from './backup/progress.ts'
import { type CommonOptions, type Outcome } from './command.ts'

const note = `A backup of a Lethe homeserver, made with "lethe backup" and read with "lethe restore".

The tables are as they stood at one moment, in the text format of Postgres; the media are sealed, as they lie on the disk.
What people said is sealed: it opens with the keyring alone, which is not in here. What the keyring has forgotten since
cannot be read any more.
`

/**
 * Writes everything but the keyring into one file, as it stands at this moment, while the server goes on. The file is there
 * as a whole or not at all. Throws `BackupError`, `DatabaseError`.
 */
export async function backUp(config: Config, db: Database, file: string, options: CommonOptions): Promise<Outcome> {
  const startedMs = systemClock.monotonic()
  const snapshot = await openSnapshot(db)
  if (!snapshot) throw new BackupError('There is nothing to back up: the database holds no server.')
  try {
    if (snapshot.serverName !== config.serverName) {
      throw new BackupError(`The database belongs to the server "${snapshot.serverName}", and server_name says "${config.serverName}".`) // prettier-ignore
    }
    const manifest = await write(config, snapshot, file, new Progress(options.json === true))
    return outcome(file, manifest, systemClock.monotonic() - startedMs)
  } finally {
    await snapshot.close()
  }
}

async function write(config: Config, snapshot: Snapshot, file: string, progress: Progress): Promise<Manifest> {
  const createdTs = systemClock.now()
  // One that is kept in a secret is kept apart already.
  const signingKey = config.backup.signingKey && config.signingKey === null ? await readSigningKey(config) : null
  const archive = await createArchive(file, new Date(createdTs))
  try {
    const add = (path: string, content: Buffer | string) =>
      archive.add(path, Readable.from([Buffer.from(content)], { objectMode: false }), { isPacked: true })
    await add(entries.note, note)
    const tables = await addTables(archive, snapshot, progress)
    const { files, missing } = await addFiles(archive, config, snapshot, progress)
    const manifest: Manifest = {
      format: 1,
      lethe: version,
      server_name: snapshot.serverName,
      created_ts: createdTs,
      log_position: snapshot.logPosition,
      keyring: { id: snapshot.keyringId, serial: snapshot.keyringSerial, generation: snapshot.keyringGeneration },
      migrations: [...snapshot.migrations],
      tables,
      sequences: snapshot.sequences.map(({ name, lastValue, isCalled }) => ({ name, last_value: lastValue, is_called: isCalled })), // prettier-ignore
      files,
      missing_files: missing,
      signing_key: signingKey && (await add(entries.signingKey, signingKey)),
    }
    await add(entries.manifest, JSON.stringify(manifest))
    await archive.finish()
    return manifest
  } finally {
    progress.end()
    await archive.abandon()
  }
}

async function addTables(archive: ArchiveWriter, snapshot: Snapshot, progress: Progress): Promise<Manifest['tables']> {
  const total = snapshot.tables.reduce((sum, { rows }) => sum + rows, 0)
  progress.begin('Tables', total, 'rows')
  const tables: Manifest['tables'] = []
  for (const table of snapshot.tables) {
    let rows = 0
    const onChunk = (chunk: Buffer) => {
      const lines = linesIn(chunk)
      rows += lines
      progress.add(lines)
    }
    const written = await archive.add(entries.table(table.name), snapshot.copy(table), { isPacked: true, onChunk })
    if (rows !== table.rows) throw new BackupError(`The table ${table.name} did not come as a whole; try again.`)
    tables.push({ name: table.name, columns: [...table.columns], rows, ...written })
  }
  return tables
}

async function addFiles(
  archive: ArchiveWriter,
  config: Config,
  { fileNames }: Snapshot,
  progress: Progress,
): Promise<{ files: Manifest['files']; missing: number }> {
  progress.begin('Media', fileNames.length, 'files')
  const store = createFileStore(config.media.store.path)
  const files: Manifest['files'] = []
  let missing = 0
  for (const name of fileNames) {
    // What was deleted since the snapshot is not missed by anybody.
    const found = await store.read(name)
    if (found) files.push({ name, ...(await archive.add(entries.file(name), found.stream, { isPacked: false })) })
    else missing++
    progress.add(1)
  }
  return { files, missing }
}

async function readSigningKey(config: Config): Promise<Buffer> {
  const path = signingKeyPath(config.dataDir)
  try {
    return await readFile(path)
  } catch (error) {
    throw new BackupError(
      `${path} cannot be read (${codeOf(error) ?? 'unknown error'}). Run the backup where the server’s data folder is, or ` +
        'leave the key out with backup.signing_key: false.',
    )
  }
}

function outcome(file: string, manifest: Manifest, durationMs: number): Outcome {
  const rows = manifest.tables.reduce((sum, table) => sum + table.rows, 0)
  const bytes = [...manifest.tables, ...manifest.files].reduce((sum, part) => sum + part.bytes, 0)
  const hasKey = manifest.signing_key !== null
  return {
    json: {
      file, created_ts: manifest.created_ts, log_position: manifest.log_position, tables: manifest.tables.length, rows,
      media_files: manifest.files.length, missing_files: manifest.missing_files, bytes, signing_key: hasKey, keyring: false,
      keyring_id: manifest.keyring.id, keyring_serial: manifest.keyring.serial, duration_ms: Math.round(durationMs),
    }, // prettier-ignore
    lines: [
      `Wrote ${file}: ${rows} rows of ${manifest.tables.length} tables and ${manifest.files.length} files.`,
      ...(manifest.missing_files > 0 ? [`${manifest.missing_files} files were not there: deleted meanwhile, or in another media folder.`] : []), // prettier-ignore
      'The keyring is not in it, and without the keyring nothing that was said can be read again: keep a copy of that in another place, with "lethe keys backup".', // prettier-ignore
      'What expires, is redacted or erased from now on can no longer be read from this file.',
      hasKey
        ? 'The signing key is in it: whoever has this file can speak for the server.'
        : 'The signing key is not in it: keep a copy of it in another place.',
    ],
  }
}
