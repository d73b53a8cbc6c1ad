import { stat } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { systemClock } from '../../clock.ts'
import { type Config } from '../../config.ts'
import { codeOf } from '../../errors.ts'
import { decodeKeyring, KeyringError, standingOf } from '../../privacy/keyring/keyring.ts'
import { keyringStoreOf } from '../../privacy/keyring/open-store.ts'
import { systemRandom } from '../../random.ts'
import { loadSigningKey, SigningKeyError, signingKeyPath } from '../../signing-key.ts'
import { type Database } from '../../storage/database.ts'
import { databaseFacts, databaseNow, serverNameIn } from '../../storage/doctor-facts.ts'
import { inspectDatabase } from '../../storage/inspect.ts'
import { keyringRow } from '../../storage/keyring-row.ts'
import { createFileStore } from '../../storage/media-file-store.ts'
import { MigrationError, pendingMigrations, readMigrations } from '../../storage/migrate.ts'
import { hasEvents } from '../../storage/server-row.ts'
import { isSetBack } from '../../storage/set-back.ts'
import { bad, type Finding, good } from './findings.ts'

/** Lifetimes are of seconds at the least, and tokens of minutes. */
const clockSkewLimitMs = 5_000

/** What can be said of the settings as they are. */
export function lookAtSettings(config: Config): Finding[] {
  const isBehindProxy = config.publicBaseUrl?.startsWith('https:') === true
  const everybody = config.trustedProxies.filter(network => /\/0$/.test(network))
  return [
    good('settings', `The settings are right: ${config.serverName}.`),
    ...(config.registration.mode === 'open' ? [bad('settings', 'openRegistration')] : []),
    ...(config.admin.onPublicListener ? [bad('settings', 'adminsPublic')] : []),
    ...(config.admin.contentAccess ? [bad('settings', 'contentAccess')] : []),
    ...(config.rateLimits.enabled ? [] : [bad('settings', 'noLimits')]),
    // The server itself speaks no TLS.
    ...(isBehindProxy && config.trustedProxies.length === 0 ? [bad('settings', 'noProxyTrusted')] : []),
    ...(everybody.length > 0 ? [bad('settings', 'everybodyTrusted', everybody.join(', '))] : []),
  ]
}

/** Whether the schema is there and can be worked with; `findings` says what was seen. */
export interface SeenDatabase {
  readonly findings: readonly Finding[]
  readonly isUsable: boolean
}

/** Throws `DatabaseError` when it cannot be asked. */
export async function lookAtDatabase(config: Config, db: Database): Promise<SeenDatabase> {
  const facts = await databaseFacts(db.pool)
  const warnings = await inspectDatabase(db.pool)
  const findings: Finding[] = [
    good('database', `PostgreSQL ${facts.version} answers.`),
    ...warnings.map(({ message, hint }) => ({ check: 'database' as const, level: 'failure' as const, fault: null, message: `${capital(message)}.`, fix: `${capital(hint)}.` })), // prettier-ignore
    await lookAtClock(db),
    // Whichever it is: identifiers are declared to be compared by their bytes.
    good('collation', `Texts are ordered as in ${facts.collation}${facts.isCollationStale ? ', whose rules have changed; no index of ours depends on them' : ''}.`), // prettier-ignore
  ]
  if (!facts.hasSchema) return { findings: [...findings, bad('schema', 'noServer')], isUsable: false }
  const schema = await lookAtSchema(db)
  findings.push(schema)
  const serverName = await serverNameIn(db.pool)
  if (serverName === null) findings.push(bad('schema', 'noServer'))
  else if (serverName !== config.serverName) findings.push(bad('schema', 'otherServer', `"${serverName}"`))
  return { findings, isUsable: schema.level === 'good' && serverName === config.serverName }
}

const capital = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}`

async function lookAtClock(db: Database): Promise<Finding> {
  const beforeTs = systemClock.now()
  const theirsTs = await databaseNow(db.pool)
  const afterTs = systemClock.now()
  const skewMs = theirsTs < beforeTs ? beforeTs - theirsTs : Math.max(theirsTs - afterTs, 0)
  if (skewMs > clockSkewLimitMs) return bad('clock', 'clockSkew', `by ${Math.round(skewMs / 1_000)} s`)
  return good('clock', 'This machine and the database agree on the time.')
}

async function lookAtSchema(db: Database): Promise<Finding> {
  try {
    const pending = await pendingMigrations(db.pool, await readMigrations())
    if (pending.length > 0) return bad('schema', 'schemaBehind', pending.join(', '))
    return good('schema', 'The schema is that of this version.')
  } catch (error) {
    if (error instanceof MigrationError) return bad('schema', 'schemaForeign', error.message)
    throw error
  }
}

export async function lookAtSigningKey(config: Config, db: Database): Promise<Finding[]> {
  // Whether it can be used has been seen with the settings.
  if (config.signingKey !== null) return [good('signing key', 'The signing key is in the settings.')]
  const path = signingKeyPath(config.dataDir)
  const mode = await modeOf(path)
  if (mode === null) {
    if (await hasEvents(db.kysely)) return [bad('signing key', 'signingKeyMissing', path)]
    return [good('signing key', 'The first start will make the signing key.')]
  }
  // Reading it mends this.
  const findings = (mode & 0o077) === 0 ? [] : [bad('signing key', 'signingKeyOpen', path)]
  try {
    const { keyId } = await loadSigningKey(config.dataDir, systemRandom, () => Promise.resolve(true))
    return [...findings, good('signing key', `The signing key is ${keyId}.`)]
  } catch (error) {
    if (error instanceof SigningKeyError) return [...findings, bad('signing key', 'signingKeyBad', error.message)]
    throw error
  }
}

export async function lookAtKeyring(config: Config, db: Database): Promise<Finding[]> {
  const row = await keyringRow(db.kysely)
  const { path } = config.sealing.keyring
  const mode = await modeOf(path)
  const folder = await modeOf(dirname(path))
  const findings: Finding[] = []
  if ((((mode ?? 0) | (folder ?? 0)) & 0o077) !== 0) findings.push(bad('keyring', 'keyringOpen', path))
  const fromCluster = relative(join(resolve(config.dataDir), 'postgres'), path)
  if (config.database.url === null && !fromCluster.startsWith('..')) findings.push(bad('keyring', 'keyringInDatabase', path)) // prettier-ignore
  if (await isSetBack(db.kysely)) findings.push(bad('keyring', 'setBack'))
  try {
    const bytes = await keyringStoreOf(config, systemRandom).read()
    if (!bytes) {
      if (row.keyringId !== null) return [...findings, bad('keyring', 'keyringMissing', path)]
      return [...findings, good('keyring', 'The first start will make the keyring.')]
    }
    const keyring = decodeKeyring(bytes)
    const standing = standingOf(keyring, { serverName: config.serverName, ...row })
    if (standing === 'foreign') return [...findings, bad('keyring', 'keyringOther', path)]
    if (standing === 'older') return [...findings, bad('keyring', 'keyringOlder', path)]
    return [...findings, good('keyring', `The keyring is there, and the newest (serial ${keyring.serial}).`)]
  } catch (error) {
    if (error instanceof KeyringError) return [...findings, bad('keyring', 'keyringBad', error.message)]
    throw error
  }
}

/** Writes a file where media are written, reads it, and removes it. */
export async function lookAtMedia(config: Config): Promise<Finding> {
  const { path } = config.media.store
  const store = createFileStore(path)
  const name = Buffer.from(systemRandom.bytes(16)).toString('hex')
  try {
    await store.write(name, Readable.from([Buffer.from('doctor')], { objectMode: false }), 6)
    const file = await store.read(name)
    file?.stream.destroy()
    if (file?.sizeBytes !== 6) return bad('media', 'mediaUnwritable', path)
    return good('media', 'The media folder can be written.')
  } catch (error) {
    return bad('media', 'mediaUnwritable', `${path} (${codeOf(error) ?? (error instanceof Error ? error.message : 'unknown error')})`) // prettier-ignore
  } finally {
    await store.remove(name).catch(() => undefined)
  }
}

async function modeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).mode
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw error
  }
}
