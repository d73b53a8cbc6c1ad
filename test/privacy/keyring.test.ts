import { afterEach, describe, expect, it } from '@jest/globals'
import { chown, copyFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger } from '../../src/log.ts'
import { createKeyringFile } from '../../src/privacy/keyring/file-store.ts'
import { KeyringError } from '../../src/privacy/keyring/keyring.ts'
import { startServer } from '../../src/server.ts'
import { whileAlone } from '../../src/storage/advisory-lock.ts'
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
})
