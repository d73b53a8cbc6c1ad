import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeKeyring } from '../../src/privacy/keyring/keyring.ts'
import { rotateKeys, type RotationProgress } from '../../src/privacy/rotate.ts'
import { createSealer, placeOf } from '../../src/privacy/seal.ts'
import { sealedColumns } from '../../src/storage/open-own-rows.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { systemRandom } from '../../src/random.ts'
import { downloadAs, uploadAs } from '../api/media-server.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { Caller, path, type Person, register, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { lethe } from './run.ts'

let server: TestServer
let on: { readonly database: TestDatabase; readonly dataDir: string }
beforeEach(async () => {
  on = { database: await testDatabase(), dataDir: await mkdtemp(join(tmpdir(), 'lethe-test-rotate-')) }
  server = await start()
})
afterEach(async () => {
  await server.close()
  await on.database.drop()
  await rm(on.dataDir, { recursive: true, force: true })
})

/** Changes a bit of what an event says, or changes it back. */
const flip = (event: string) =>
  rowsOf('UPDATE events SET body = set_byte(body, 40, get_byte(body, 40) # 1) WHERE event_id = $1', [event])

const start = () => startTestServer({ on, loops: [], clock: 'system' })
const rotate = () => lethe(on.dataDir, ['keys', 'rotate', '--json'])
const silent: RotationProgress = { begin: () => undefined, add: () => undefined }

/** Asks the database, also while no server runs. */
async function rowsOf<Row extends object>(statement: string, values: unknown[] = []): Promise<Row[]> {
  const client = new pg.Client(on.database.url)
  await client.connect()
  try {
    return (await client.query<Row>(statement, values)).rows
  } finally {
    await client.end()
  }
}

const bodyOf = async (event: string): Promise<Buffer> => {
  const [row] = await rowsOf<{ body: Buffer }>('SELECT body FROM events WHERE event_id = $1', [event])
  return row?.body ?? Buffer.of()
}

/** Everything that is sealed in the database, by the generation of its keys. */
async function generations(): Promise<Record<number, number>> {
  const counts: Record<number, number> = {}
  for (const name of Object.keys(sealedColumns)) {
    const [table, column] = name.split('.')
    const rows = await rowsOf<{ sealed: Buffer }>(
      `SELECT ${column} AS sealed FROM ${table} WHERE ${column} IS NOT NULL`,
    )
    for (const { sealed } of rows) {
      const place = placeOf(sealed)
      if (place) counts[place.generation] = (counts[place.generation] ?? 0) + 1
    }
  }
  return counts
}

/** A life: something in each sealed column, and a file. */
async function live(alice: Person, bob: Person) {
  const room = await alice.createRoom({ name: 'The boathouse' })
  await alice.invite(room, bob.userId)
  const event = await alice.send(room, 'words that stay')
  await alice.put(path`/profile/${alice.userId}/displayname`, { displayname: 'Alice of the lake' })
  await alice.put(path`/user/${alice.userId}/account_data/test.notes`, { text: 'remember the boat' })
  const filter = await alice.post(path`/user/${alice.userId}/filter`, {
    room: { timeline: { limit: 7 } },
  })
  await alice.put(path`/sendToDevice/test.secret/1`, { messages: { [bob.userId]: { [bob.deviceId]: { for: 'bob' } } } })
  const media = await uploadAs(alice, 'a picture of a boat', 'image/png')
  return { room, event, filter: text(filter, 'filter_id'), media }
}

/** All of that life is there to read. */
async function expectLife(
  alice: Caller,
  bob: Caller,
  aliceId: string,
  life: Awaited<ReturnType<typeof live>>,
): Promise<void> {
  expect(await alice.get(path`/rooms/${life.room}/event/${life.event}`)).toMatchObject({
    content: { body: 'words that stay' },
  })
  expect(await alice.get(path`/rooms/${life.room}/state/m.room.name`)).toMatchObject({ name: 'The boathouse' })
  expect(await alice.get(path`/profile/${aliceId}/displayname`)).toEqual({ displayname: 'Alice of the lake' })
  expect(await alice.get(path`/user/${aliceId}/account_data/test.notes`)).toEqual({ text: 'remember the boat' })
  expect(await alice.get(path`/user/${aliceId}/filter/${life.filter}`)).toMatchObject({
    room: { timeline: { limit: 7 } },
  })
  const synced = JSON.stringify(await bob.get('/sync'))
  expect(synced).toContain('{"for":"bob"}')
  expect(synced).toContain('The boathouse')
  const { status, bytes } = await downloadAs(alice, life.media)
  expect([status, bytes.toString()]).toEqual([200, 'a picture of a boat'])
}

describe('lethe keys rotate', () => {
  it('seals everything anew, and destroys the keys from before', async () => {
    const [alice, bob] = [await register(server), await register(server)]
    const life = await live(alice, bob)
    const stolen = decodeKeyring(await readFile(server.config.sealing.keyring.path))
    const was = await bodyOf(life.event)
    const before = await generations()
    expect(Object.keys(before)).toEqual(['0'])
    expect(await rotate()).toMatchObject({ exit: 1, shown: expect.stringMatching(/A server runs/) })
    await server.close()
    const { exit, shown } = await rotate()
    expect([exit, JSON.parse(shown)]).toEqual([0, { values: before[0], files: 1 }])
    expect(await generations()).toEqual({ 1: before[0] })
    // Neither opens the old keyring what is there now, nor the new one what was there.
    const opener = (keys: typeof stolen) =>
      createSealer({ keys: () => keys, takeChunk: () => 0, now: Date.now, random: systemRandom, isOn: true })
    const kept = decodeKeyring(await readFile(server.config.sealing.keyring.path))
    const is = await bodyOf(life.event)
    expect([opener(stolen).open(was, life.event), opener(stolen).open(is, life.event)]).toEqual([
      expect.stringContaining('words that stay'),
      null,
    ])
    expect([opener(kept).open(was, life.event), opener(kept).open(is, life.event)]).toEqual([
      null,
      expect.stringContaining('words that stay'),
    ])
    server = await start()
    await expectLife(
      new Caller(server.url, alice.accessToken),
      new Caller(server.url, bob.accessToken),
      alice.userId,
      life,
    )
    const status = await lethe(on.dataDir, ['keys', 'status', '--json'])
    expect(JSON.parse(status.shown)).toMatchObject({ generation: 1, rotation_unfinished: false })
  })

  it('goes on where it was broken off, while people talk', async () => {
    const [alice, bob, carol] = [await register(server), await register(server), await register(server)]
    const life = await live(alice, bob)
    await carol.put(path`/user/${carol.userId}/account_data/test.notes`, { text: 'of somebody who leaves' })
    const broken: RotationProgress = {
      begin(what) {
        if (what === 'profiles.value') throw new Error('the power went')
      },
      add: () => undefined,
    }
    const { numbers } = server.ctx
    await expect(rotateKeys({ ...server.ctx, sealer: numbers.sealer }, broken)).rejects.toThrow('the power went')
    expect(Object.keys(await generations())).toEqual(['0', '1'])
    server = await server.restart()
    const [speaker, leaver] = [new Caller(server.url, alice.accessToken), new Caller(server.url, carol.accessToken)]
    const auth = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: carol.userId },
      password: carol.password,
    }
    await leaver.post('/account/deactivate', { auth, erase: true })
    await sweep(server.ctx)
    const said = await speaker.put(path`/rooms/${life.room}/send/m.room.message/1`, {
      msgtype: 'm.text',
      body: 'said meanwhile',
    })
    await server.close()
    expect(await rotate()).toMatchObject({ exit: 0 })
    expect(Object.keys(await generations())).toEqual(['1'])
    server = await start()
    const again = new Caller(server.url, alice.accessToken)
    expect(await again.get(path`/rooms/${life.room}/event/${text(said, 'event_id')}`)).toMatchObject({
      content: { body: 'said meanwhile' },
    })
    await expectLife(again, new Caller(server.url, bob.accessToken), alice.userId, life)
  })

  it('destroys nothing while there is something that does not open though its key is there', async () => {
    const alice = await register(server)
    const room = await alice.createRoom()
    const event = await alice.send(room, 'words that stay')
    await flip(event)
    await expect(rotateKeys({ ...server.ctx, sealer: server.ctx.numbers.sealer }, silent)).rejects.toThrow(
      /1 of events.body.*No key was destroyed/,
    )
    expect(server.ctx.keyring.keys.before).not.toBeNull()
    await flip(event)
    await rotateKeys({ ...server.ctx, sealer: server.ctx.numbers.sealer }, silent)
    expect(server.ctx.keyring.keys.before).toBeNull()
  })

  it('names the files that do not open, and destroys nothing either', async () => {
    const alice = await register(server)
    const media = [await uploadAs(alice, 'a boat', 'image/png'), await uploadAs(alice, 'a lake', 'image/png')]
    const [row] = await rowsOf<{ file_name: string }>('SELECT file_name FROM media WHERE media_id = $1', [media[0]])
    const name = row?.file_name ?? ''
    const file = join(server.config.media.store.path, name.slice(0, 2), name.slice(2, 4), name)
    const bytes = await readFile(file)
    const ctx = { ...server.ctx, sealer: server.ctx.numbers.sealer }
    for (const damaged of [
      Buffer.concat([bytes.subarray(0, -1), Buffer.of((bytes.at(-1) ?? 0) ^ 1)]),
      bytes.subarray(0, 14),
    ]) {
      await writeFile(file, damaged)
      await expect(rotateKeys(ctx, silent)).rejects.toThrow(`media ${media[0]}.`)
      expect(server.ctx.keyring.keys.before).not.toBeNull()
      expect((await downloadAs(alice, media[1] ?? '')).bytes.toString()).toBe('a lake')
    }
    await writeFile(file, bytes)
    await rotateKeys(ctx, silent)
    expect(server.ctx.keyring.keys.before).toBeNull()
    expect((await downloadAs(alice, media[0] ?? '')).bytes.toString()).toBe('a boat')
  })

  it('lets no copy of the keyring from before back in', async () => {
    const place = server.config.sealing.keyring.path
    await copyFile(place, `${place}.old`)
    await server.close()
    await rotate()
    await copyFile(`${place}.old`, place)
    expect(await lethe(on.dataDir, ['serve'])).toMatchObject({ exit: 1, shown: expect.stringMatching(/older copy/) })
  })
})
