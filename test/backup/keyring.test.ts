import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeKeyring } from '../../src/privacy/keyring/keyring.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { Caller, path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { lethe, writeSettings } from './lethe.ts'
import { type Place, Places } from './places.ts'

const patienceMs = 180_000

/** One server's life: a copy of its keyring, a backup, and what happened after them. */
const places = new Places()
let origin: Place
let server: TestServer
let alice: Person
let room: string
let kept: string
let redacted: string
let backup: string
let copy: string
let newest: string

beforeAll(async () => {
  origin = await places.add()
  server = await startTestServer({ on: origin, loops: [], clock: 'system' })
  alice = await register(server)
  room = await alice.createRoom()
  kept = await alice.send(room, 'words that stay')
  redacted = await alice.send(room, 'words to be taken back')
  await alice.send(room, 'the last')
  const settings = await writeSettings(origin.dataDir, origin.database.url)
  ;[backup, copy, newest] = [
    join(origin.dataDir, 'lethe.backup'),
    join(origin.dataDir, 'keys'),
    join(origin.dataDir, 'newest'),
  ]
  expect(await lethe(settings, ['keys', 'backup', copy])).toMatchObject({ code: 0 })
  await server.ctx.keyring.destroy({ places: [], throughBucket: null })
  expect(await lethe(settings, ['backup', backup])).toMatchObject({ code: 0, err: '' })
  await alice.put(path`/rooms/${room}/redact/${redacted}/x`, {})
  await sweep(server.ctx)
  expect(await lethe(settings, ['keys', 'backup', newest])).toMatchObject({ code: 0 })
}, patienceMs)
afterAll(async () => {
  await server?.close()
  await places.remove()
})

const keyringOf = ({ dataDir }: Place) => join(dataDir, 'keyring', 'keyring')

/** An empty database and a data folder with some bytes in the place of the keyring. */
async function emptyPlace(keyring: Buffer | string | null = null): Promise<{ place: Place; settings: string }> {
  const place = await places.add({ empty: true })
  if (keyring !== null) {
    await mkdir(join(place.dataDir, 'keyring'), { mode: 0o700 })
    await writeFile(keyringOf(place), keyring)
  }
  return { place, settings: await writeSettings(place.dataDir, place.database.url) }
}

/** Nothing is in the database, not even a schema. */
const isEmpty = async (settings: string) => {
  const { json } = await lethe(settings, ['migrate', '--plan'])
  return (json['pending'] as unknown[]).length > 5 // The command answers with a list.
}

/** What can be read there: of the message that stays, and of that which was taken back. */
async function readIn(place: Place): Promise<readonly number[]> {
  const there = await startTestServer({ on: place, loops: [], clock: 'system' })
  try {
    const caller = new Caller(there.url, alice.accessToken)
    const ask = (id: string) => caller.request('GET', path`/rooms/${room}/event/${id}`)
    return [(await ask(kept)).status, (await ask(redacted)).status]
  } finally {
    await there.close()
  }
}

const readable = 200
const gone = 404

describe('lethe restore --keys', () => {
  it(
    'brings a lost machine back from the backup and the copy of its keyring, and nothing that was forgotten',
    async () => {
      const { place, settings } = await emptyPlace()
      const { code, err, json } = await lethe(settings, ['restore', backup, '--keys', newest])
      expect([code, err]).toEqual([0, ''])
      expect(json).toMatchObject({ unreadable_messages: 1, unknown_keys: 0 })
      expect(await readIn(place)).toEqual([readable, gone])
    },
    patienceMs,
  )

  it(
    'does so beside a keyring that is damaged',
    async () => {
      const damaged = (await readFile(keyringOf(origin))).subarray(0, -5)
      const { place, settings } = await emptyPlace(damaged)
      expect(await lethe(settings, ['restore', backup])).toMatchObject({ code: 1, err: expect.stringMatching(/damaged/) }) // prettier-ignore
      expect(await lethe(settings, ['restore', backup, '--keys', newest])).toMatchObject({ code: 0, err: '' })
      expect(await readIn(place)).toEqual([readable, gone])
    },
    patienceMs,
  )

  it(
    'leaves an empty database when the keyring cannot be put in its place, and can be begun again',
    async () => {
      const { place, settings } = await emptyPlace()
      // There can be no folder where there is a file.
      await writeFile(join(place.dataDir, 'keyring'), 'in the way')
      const { code, err } = await lethe(settings, ['restore', backup, '--keys', newest])
      expect([code, err]).toEqual([1, expect.stringMatching(/cannot be written/)])
      expect(await isEmpty(settings)).toBe(true)
      await rm(join(place.dataDir, 'keyring'))
      expect(await lethe(settings, ['restore', backup, '--keys', newest])).toMatchObject({ code: 0, err: '' })
      expect(await readIn(place)).toEqual([readable, gone])
    },
    patienceMs,
  )

  it(
    'overwrites neither a newer keyring nor another server’s',
    async () => {
      const other = await startTestServer({ loops: [] })
      const foreign = await readFile(other.config.sealing.keyring.path)
      await other.close()
      const own = await readFile(keyringOf(origin))
      for (const [inPlace, from, words] of [
        [foreign, newest, /keyring of another database.*move it away/],
        [own, copy, /is newer than the copy/],
      ] as const) {
        const { place, settings } = await emptyPlace(inPlace)
        const { code, err } = await lethe(settings, ['restore', backup, '--keys', from, '--accept-older'])
        expect([code, err]).toEqual([1, expect.stringMatching(words)])
        expect((await readFile(keyringOf(place))).equals(inPlace)).toBe(true)
        expect(await isEmpty(settings)).toBe(true)
      }
    },
    patienceMs,
  )

  it(
    'takes on an older copy only when told to, and keeps of it what the backup holds',
    async () => {
      const { place, settings } = await emptyPlace()
      const refused = await lethe(settings, ['restore', backup, '--keys', copy])
      expect([refused.code, refused.err]).toEqual([1, expect.stringMatching(/is older/)])
      expect(await isEmpty(settings)).toBe(true)
      expect(await lethe(settings, ['restore', backup, '--keys', copy, '--accept-older'])).toMatchObject({ code: 0, err: '' }) // prettier-ignore
      // The keyring that knew of the redaction is lost.
      expect(await readIn(place)).toEqual([readable, readable])
      const keyring = decodeKeyring(await readFile(keyringOf(place)))
      expect([keyring.generation, keyring.before?.generation]).toEqual([1, 0])
    },
    patienceMs,
  )
})

describe('a backup and a keyring with a rotation between them', () => {
  it(
    'are refused, whichever is older, and fit together until the rotation ends',
    async () => {
      const old = await readFile(keyringOf(origin))
      await server.ctx.keyring.beginRotation()
      await alice.send(room, 'words under new keys')
      const unfinished = await readFile(keyringOf(origin))
      const later = join(origin.dataDir, 'later.backup')
      const own = await writeSettings(origin.dataDir, origin.database.url)
      expect(await lethe(own, ['backup', later])).toMatchObject({ code: 0, err: '' })
      await server.ctx.keyring.endRotation()
      const ended = await readFile(keyringOf(origin))

      const stale = await emptyPlace(old)
      const refused = async (parameters: readonly string[], settings: string, words: RegExp) => {
        const { code, err } = await lethe(settings, ['restore', ...parameters])
        expect([code, err]).toEqual([1, expect.stringMatching(words)])
        expect(await isEmpty(settings)).toBe(true)
      }
      await refused([later], stale.settings, /The keyring is from before a rotation/)
      await refused([later, '--accept-older'], stale.settings, /The keyring is from before a rotation/)
      const fresh = await emptyPlace(ended)
      await refused([backup], fresh.settings, /The backup is from before a rotation/)
      const fitting = await emptyPlace(unfinished)
      expect(await lethe(fitting.settings, ['restore', backup])).toMatchObject({ code: 0, err: '' })
      expect(await readIn(fitting.place)).toEqual([readable, gone])
    },
    patienceMs,
  )
})
