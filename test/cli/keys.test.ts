import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { Caller, path, register } from '../harness/people.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { lethe as runLethe } from './run.ts'

const nothing = { places: [], throughBucket: null }

let server: TestServer
let on: { readonly database: TestDatabase; readonly dataDir: string }
beforeEach(async () => {
  on = { database: await testDatabase(), dataDir: await mkdtemp(join(tmpdir(), 'lethe-test-keys-')) }
  server = await startTestServer({ on, loops: [], clock: 'system' })
})
afterEach(async () => {
  await server.close()
  await on.database.drop()
  await rm(on.dataDir, { recursive: true, force: true })
})

const lethe = (parameters: readonly string[], passphrase?: string) =>
  runLethe(server.config.dataDir, parameters, passphrase)

describe('lethe keys', () => {
  it('says where the keys are and what waits, beside a running server', async () => {
    const { exit, shown } = await lethe(['keys', 'status', '--json'])
    expect(exit).toBe(0)
    const { nodes, serial, place } = server.ctx.keyring.status()
    expect(JSON.parse(shown)).toMatchObject({ place, nodes, serial, serial_in_database: serial, keys_to_destroy: 0 })
  })

  it('backs up under a passphrase, and restores only while no server runs', async () => {
    const place = server.config.sealing.keyring.path
    const copy = join(server.config.dataDir, 'backup')
    expect(await lethe(['keys', 'backup', copy], 'short')).toMatchObject({ exit: 1, shown: expect.stringMatching(/too short/) }) // prettier-ignore
    expect(await lethe(['keys', 'backup', copy])).toMatchObject({ exit: 0 })
    expect((await stat(copy)).mode & 0o777).toBe(0o600)
    const plain = await readFile(place)
    expect((await readFile(copy)).includes(plain.subarray(200, 232))).toBe(false)
    expect((await lethe(['keys', 'restore', copy])).shown).toMatch(/A server runs/)
    await server.close()
    await rm(place)
    // Without the keyring the server says what to do, and ends.
    expect(await lethe(['serve'])).toMatchObject({ exit: 1, shown: expect.stringMatching(/is missing.*lethe keys restore/) }) // prettier-ignore
    expect(await lethe(['keys', 'restore', copy], 'another passphrase')).toMatchObject({ exit: 1, shown: expect.stringMatching(/passphrase is another/) }) // prettier-ignore
    expect(await lethe(['keys', 'restore', copy])).toMatchObject({ exit: 0 })
    expect(await lethe(['keys', 'status'])).toMatchObject({ exit: 0 })
  })

  it('takes on an older copy only when told to, above what the database has seen', async () => {
    const copy = join(server.config.dataDir, 'backup')
    const alice = await register(server)
    const room = await alice.createRoom()
    const kept = await alice.send(room, 'words that stay')
    await lethe(['keys', 'backup', copy])
    await sweep(server.ctx)
    await server.ctx.keyring.destroy(nothing)
    const { serial } = server.ctx.keyring.status()
    await server.close()
    expect(await lethe(['keys', 'restore', copy])).toMatchObject({ exit: 1, shown: expect.stringMatching(/older.*--accept-older/) }) // prettier-ignore
    const { exit, shown } = await lethe(['keys', 'restore', copy, '--accept-older', '--json'])
    expect(exit).toBe(0)
    expect(JSON.parse(shown)).toEqual({ serial: serial + 1, was_older: true })
    server = await startTestServer({ on, loops: [], clock: 'system' })
    const again = new Caller(server.url, alice.accessToken)
    expect(await again.get(path`/rooms/${room}/event/${kept}`)).toMatchObject({ content: { body: 'words that stay' } })
  })
})
