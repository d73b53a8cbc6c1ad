import { afterEach, describe, expect, it } from '@jest/globals'
import { chown, copyFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger } from '../../src/log.ts'
import { createKeyringFile } from '../../src/privacy/keyring/file-store.ts'
import { decodeKeyring, KeyringError } from '../../src/privacy/keyring/keyring.ts'
import { startServer } from '../../src/server.ts'
import { whileAlone } from '../../src/storage/advisory-lock.ts'
import { Caller, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const servers: TestServer[] = []

async function started(): Promise<TestServer> {
  const server = await startTestServer({ loops: [] })
  servers.push(server)
  return server
}

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

const nothing = { places: [], throughBucket: null }

/** Only root can give a file to somebody. */
const itAsRoot = process.getuid?.() === 0 ? it : it.skip

describe('the keyring', () => {
  itAsRoot('stays the server’s when root writes it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lethe-test-owner-'))
    try {
      const path = join(folder, 'keyring')
      const owner = async () => {
        const { uid, gid, mode } = await stat(path)
        return [uid, gid, mode & 0o777]
      }
      await chown(folder, 4321, 4322)
      const file = createKeyringFile(path)
      await file.write(Buffer.from('first'))
      expect(await owner()).toEqual([4321, 4322, 0o600])
      await chown(path, 5432, 5433)
      await file.write(Buffer.from('second'))
      expect(await owner()).toEqual([5432, 5433, 0o600])
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  it.each(['sweeper', 'background_jobs'] as const)('is changed while the %s works', async name => {
    const { ctx } = await started()
    const { serial } = ctx.keyring.status()
    await whileAlone(ctx.db, name, () => ctx.keyring.destroy(nothing))
    expect(ctx.keyring.status().serial).toBe(serial + 1)
  })

  it('keeps a server from starting when it is missing, damaged, foreign or older', async () => {
    const { ctx, config } = await started()
    const { path } = config.sealing.keyring
    const other = await started()
    const start = () => startServer({ config, logger: silentLogger, loops: [] })
    await copyFile(path, `${path}.older`)
    await ctx.keyring.destroy(nothing)
    const newest = await readFile(path)
    const damaged = Buffer.from(newest)
    damaged.writeUInt8(damaged.readUInt8(damaged.length - 1) ^ 1, damaged.length - 1)
    const cases: readonly [() => Promise<void>, RegExp][] = [
      [() => rm(path), /is missing, and nothing in the database can be read without it/],
      [() => writeFile(path, damaged), /damaged/],
      [() => writeFile(path, newest.subarray(0, 60)), /not a keyring|damaged/],
      [() => writeFile(path, 'something else'), /not a keyring/],
      [() => copyFile(other.config.sealing.keyring.path, path), /the keyring of another database/],
      [() => copyFile(`${path}.older`, path), /an older copy of the keyring/],
    ]
    for (const [spoil, words] of cases) {
      await spoil()
      const error: unknown = await start().then(
        () => null,
        (reason: unknown) => reason,
      )
      expect(error).toBeInstanceOf(KeyringError)
      expect((error as KeyringError).message).toMatch(words)
      expect((error as KeyringError).message).toContain(path)
    }
    // The control: with the newest it starts.
    await writeFile(path, newest)
    await (await start()).close()
  })

  /** How many one-time keys are left, and whether the database is taken for one that was set back. */
  const leftIn = async ({ ctx }: TestServer) => {
    const { rows } = await ctx.db.pool.query<{ keys: number; is_set_back: boolean }>(
      'SELECT (SELECT count(*) FROM one_time_keys) AS keys, is_set_back FROM server',
    )
    return rows[0]
  }
  const withKeys = async (): Promise<TestServer> => {
    const server = await started()
    const { userId, deviceId, ...alice } = await register(server)
    const signed = { key: 'abc', signatures: { [userId]: { [`ed25519:${deviceId}`]: 'whatever' } } }
    await new Caller(server.url, alice.accessToken).post('/keys/upload', { one_time_keys: { 'signed_curve25519:one': signed } }) // prettier-ignore
    expect(await leftIn(server)).toEqual({ keys: 1, is_set_back: false })
    return server
  }
  /** Lets what is done at the commit of a change of the keyring fail; returns what ends that. */
  const failAtCommit = async ({ ctx }: TestServer, statement: string) => {
    await ctx.db.pool.query(`CREATE SEQUENCE failures; CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN IF nextval('failures') = 1 THEN ${statement}; END IF; RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER failing AFTER UPDATE OF keyring_serial ON server DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION fail()`)
  }

  it('is not ahead of a database that was set back when a process lost its connection at the commit', async () => {
    const server = await withKeys()
    const { ctx, config } = server
    const { serial } = ctx.keyring.status()
    await failAtCommit(server, 'PERFORM pg_terminate_backend(pg_backend_pid())')
    await expect(ctx.keyring.destroy(nothing)).rejects.toMatchObject({ isUnavailable: true })
    // It was written, and the database has not heard of it.
    expect(decodeKeyring(await readFile(config.sealing.keyring.path)).serial).toBe(serial + 1)
    await ctx.keyring.destroy(nothing)
    expect(ctx.keyring.status().serial).toBe(serial + 2)
    expect(await leftIn(server)).toEqual({ keys: 1, is_set_back: false })
  })

  it('nor when the process died then, and another starts', async () => {
    const server = await withKeys()
    await failAtCommit(server, 'PERFORM pg_terminate_backend(pg_backend_pid())')
    await server.ctx.keyring.destroy(nothing).catch(() => undefined)
    await (await startServer({ config: server.config, logger: silentLogger, loops: [] })).close()
    expect(await leftIn(server)).toEqual({ keys: 1, is_set_back: false })
  })

  it('nor when the commit is tried again', async () => {
    const server = await withKeys()
    await failAtCommit(server, `RAISE EXCEPTION 'a conflict' USING ERRCODE = '40001'`)
    await server.ctx.keyring.destroy(nothing)
    expect(await leftIn(server)).toEqual({ keys: 1, is_set_back: false })
  })

  it('is ahead of one that was set back, also to a moment at which another writing had begun', async () => {
    for (const intent of ['NULL', `sha256('another')`]) {
      const server = await withKeys()
      const { pool } = server.ctx.db
      // However long it takes.
      await pool.query(`CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF current_setting('statement_timeout') || current_setting('lock_timeout') <> '00' THEN RAISE 'held to a time'; END IF;
        RETURN NULL; END $$; CREATE TRIGGER held BEFORE DELETE ON one_time_keys FOR EACH STATEMENT EXECUTE FUNCTION held()`)
      await pool.query(`UPDATE server SET keyring_serial = keyring_serial - 1, keyring_intent = ${intent}`)
      await server.ctx.keyring.destroy(nothing)
      expect(await leftIn(server)).toEqual({ keys: 0, is_set_back: true })
    }
  })
})
