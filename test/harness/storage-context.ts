import { randomBytes } from 'node:crypto'
import { systemClock } from '../../src/clock.ts'
import { loadConfig } from '../../src/config.ts'
import { type Context } from '../../src/context.ts'
import { createLimiter, defaultLimits } from '../../src/limiter.ts'
import { silentLogger } from '../../src/log.ts'
import { parseServerName, type ServerName } from '../../src/protocol/identifiers.ts'
import { signingKeyFromSeed } from '../../src/protocol/signatures.ts'
import { systemRandom } from '../../src/random.ts'
import { openDatabase } from '../../src/storage/database.ts'
import { createNumbers } from '../../src/storage/numbers.ts'
import { openLog } from '../../src/storage/open-log.ts'
import { testSealer, testKeys } from './sealer.ts'
import { testDatabase, type TestDatabase } from './database.ts'
import { TestClock } from './clock.ts'

/** A context with a database of its own and without HTTP, for tests of what lies beneath. */
export interface StorageContext {
  readonly ctx: Context
  readonly clock: TestClock
  readonly database: TestDatabase
  /** Another process's view of the same database: a context with a log of its own. */
  another(): Promise<StorageContext>
  close(): Promise<void>
}

export async function storageContext(shared?: TestDatabase): Promise<StorageContext> {
  const database = shared ?? (await testDatabase())
  const serverName = parseServerName('test.example') as ServerName // It is one.
  const loaded = loadConfig({ env: {}, cwd: '/nonexistent' })
  if (!loaded.ok) throw new Error('the default settings are not valid')
  const clock = new TestClock()
  const db = openDatabase(database.connection, silentLogger)
  const numbers = createNumbers(db, serverName, testSealer())
  const log = await openLog({
    db,
    numbers,
    clock: systemClock,
    logger: silentLogger,
    newEpoch: randomBytes(6).toString('hex'),
    processId: randomBytes(6).toString('hex'),
  })
  const shutdown = new AbortController()
  const ctx: Context = {
    config: loaded.config,
    serverName,
    clock,
    random: systemRandom,
    logger: silentLogger,
    db,
    log,
    numbers,
    keyring: {
      keys: testKeys,
      takeChunk: () => 0,
      destroy: refuse,
      beginRotation: refuse,
      endRotation: refuse,
      refresh: refuse,
      status: () => ({ place: 'memory', nodes: testKeys.tree.size, serial: 0 }),
    },
    signingKey: signingKeyFromSeed(randomBytes(32), 'ed25519:test'),
    mediaStore: { write: refuse, read: refuse, remove: refuse, sealOf: refuse },
    limiter: createLimiter(clock, defaultLimits, false),
    remote: {
      enabled: false,
      join: refuse,
      knock: refuse,
      leave: refuse,
      invite: refuse,
      resolveAlias: refuse,
      profile: refuse,
      queryKeys: refuse,
      claimKeys: refuse,
    },
    shutdown: shutdown.signal,
  }
  return {
    ctx,
    clock,
    database,
    another: () => storageContext(database),
    async close() {
      shutdown.abort()
      await log.close()
      await db.close()
      if (!shared) await database.drop()
    },
  }
}

function refuse(): Promise<never> {
  return Promise.reject(new Error('this context has no outside'))
}
