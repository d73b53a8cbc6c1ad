import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { downloadAs, uploadAs } from '../api/media-server.ts'
import { main } from '../backup/lethe.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { Caller, path, register } from '../harness/people.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { lethe as runLethe, type Run } from './run.ts'

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

  it('brings no key back with an older copy of which the database holds nothing any more', async () => {
    const copy = join(server.config.dataDir, 'backup')
    const alice = await register(server)
    const room = await alice.createRoom()
    const kept = await alice.send(room, 'words that stay')
    const redacted = await alice.send(room, 'words to be taken back')
    const picture = await uploadAs(alice, Buffer.from('a picture'), 'image/png')
    await alice.put(path`/user/${alice.userId}/account_data/org.example.notes`, { note: 'mine' })
    const bodies = await server.ctx.db.pool.query<{ event_id: string; body: Buffer }>('SELECT event_id, body FROM events WHERE event_id = ANY($1)', [[kept, redacted]]) // prettier-ignore
    await lethe(['keys', 'backup', copy])
    await alice.put(path`/rooms/${room}/redact/${redacted}/x`, {})
    await sweep(server.ctx)
    const opened = () =>
      bodies.rows.flatMap(row => (server.ctx.numbers.sealer.open(row.body, row.event_id) === null ? [] : row.event_id))
    expect(opened()).toEqual([kept])
    await server.close()
    expect(await lethe(['keys', 'restore', copy, '--accept-older'])).toMatchObject({ exit: 0 })
    server = await startTestServer({ on, loops: [], clock: 'system' })
    expect(opened()).toEqual([kept])
    const again = new Caller(server.url, alice.accessToken)
    expect(await again.get(path`/rooms/${room}/event/${kept}`)).toMatchObject({ content: { body: 'words that stay' } })
    expect((await downloadAs(again, picture)).bytes.toString()).toBe('a picture')
    expect(await again.get(path`/user/${alice.userId}/account_data/org.example.notes`)).toEqual({ note: 'mine' })
    // New values are sealed as ever, those that expire too.
    const bob = await register(server)
    const fleeting = await bob.createRoom({ initial_state: [{ type: 'm.room.retention', state_key: '', content: { max_lifetime: 10 * 365 * 86_400_000 } }] }) // prettier-ignore
    const sent = await bob.send(fleeting, 'words for ten years')
    expect(await bob.event(fleeting, sent)).toMatchObject({ content: { body: 'words for ten years' } })
    expect((await readFile(server.config.sealing.keyring.path)).length).toBeLessThan(600_000)
  }, 60_000)

  it('puts no copy in the place of a keyring that is newer, or another server’s', async () => {
    const place = server.config.sealing.keyring.path
    const copy = join(server.config.dataDir, 'backup')
    await lethe(['keys', 'backup', copy])
    await server.ctx.keyring.destroy(nothing)
    // To a database that was set back the copy is as good as the keyring; and that knows of more that was destroyed.
    await server.ctx.db.pool.query('UPDATE server SET keyring_serial = 0')
    const other = await startTestServer({ loops: [] })
    const foreign = await readFile(other.config.sealing.keyring.path)
    await other.close()
    await server.close()
    const newest = await readFile(place)
    for (const [bytes, words] of [
      [newest, /is newer than the copy of it/],
      [foreign, /keyring of another database.*move it away/],
    ] as const) {
      await writeFile(place, bytes)
      expect(await lethe(['keys', 'restore', copy])).toMatchObject({ exit: 1, shown: expect.stringMatching(words) })
      expect((await readFile(place)).equals(bytes)).toBe(true)
    }
    await rm(place)
    expect(await lethe(['keys', 'restore', copy])).toMatchObject({ exit: 0 })
  })

  it('takes on no copy from before a rotation, even one that was broken off', async () => {
    const copy = join(server.config.dataDir, 'backup')
    const alice = await register(server)
    const room = await alice.createRoom()
    await lethe(['keys', 'backup', copy])
    await server.ctx.keyring.beginRotation()
    await alice.send(room, 'words under new keys')
    await server.close()
    const before = await readFile(server.config.sealing.keyring.path)
    expect(await lethe(['keys', 'restore', copy, '--accept-older'])).toMatchObject({ exit: 1, shown: expect.stringMatching(/from before a rotation/) }) // prettier-ignore
    expect((await readFile(server.config.sealing.keyring.path)).equals(before)).toBe(true)
  })

  it('asks for the passphrase at the terminal, and shows none of it', async () => {
    const folder = server.config.dataDir
    const copy = join(folder, 'backup')
    const typed = (parameters: readonly string[], lines: readonly string[]): Promise<Run> => {
      const command = [process.execPath, main, ...parameters, '--config', join(folder, 'lethe.yaml')].join(' ')
      // It gives the command a terminal.
      const child = spawn('script', ['-qec', command, '/dev/null'], { env: { PATH: process.env['PATH'] }, cwd: folder })
      let shown = ''
      const waiting = [...lines]
      child.stdout.on('data', chunk => {
        shown += String(chunk)
        if (/(Passphrase|again): $/.test(shown)) child.stdin.write(`${waiting.shift() ?? ''}\r`)
      })
      return once(child, 'close').then(([exit]) => ({ exit: exit as number, shown })) // The event's first value is the code.
    }
    const passphrase = 'typed by hand it is'
    expect(await typed(['keys', 'backup', copy], [passphrase, 'something else'])).toMatchObject({ exit: 1, shown: expect.stringMatching(/differ/) }) // prettier-ignore
    const { exit, shown } = await typed(['keys', 'backup', copy], [passphrase, `${passphrase}x\u007f`])
    expect([exit, shown]).toEqual([0, expect.stringMatching(/Wrote the keyring/)])
    expect(shown).not.toContain('typed by hand')
    await server.close()
    expect(await typed(['keys', 'restore', copy], ['not this one, no'])).toMatchObject({ exit: 1 })
    expect(await typed(['keys', 'restore', copy], [passphrase])).toMatchObject({ exit: 0 })
    // Without a terminal there is nobody to ask.
    expect(await lethe(['keys', 'restore', copy], '')).toMatchObject({ exit: 1, shown: expect.stringMatching(/needs a passphrase/) }) // prettier-ignore
  }, 60_000)
})
