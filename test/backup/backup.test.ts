import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { cp, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deleteMedia } from '../../src/media/delete.ts'
import { eraseAccount } from '../../src/privacy/erase.ts'
import { localAccount } from '../../src/admin/local-account.ts'
import { type MediaId } from '../../src/protocol/media-id.ts'
import { type UserId } from '../../src/protocol/identifiers.ts'
import { eraseAll } from '../../src/privacy/eraser.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { downloadAs, uploadAs } from '../api/media-server.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { at, Caller, path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { lethe, writeSettings } from './lethe.ts'

const patienceMs = 240_000

interface Place {
  readonly database: TestDatabase
  readonly dataDir: string
}

const places: Place[] = []

async function newPlace(options: { readonly empty?: boolean } = {}): Promise<Place> {
  const place = { database: await testDatabase(options), dataDir: await mkdtemp(join(tmpdir(), 'lethe-test-backup-')) }
  places.push(place)
  return place
}

/** How the story looks at a server: what Alice is told there. */
interface Story {
  readonly alice: Person
  readonly bob: Person
  readonly gone: Person
  readonly room: string
  readonly kept: string
  readonly redacted: string
  readonly fleeting: string
  readonly picture: MediaId
  readonly deletedPicture: MediaId
  readonly since: string
}

let origin: Place
let server: TestServer
let story: Story
let backup: string
let settings: string

const signedKey = ({ userId, deviceId }: Person, key: string) => ({
  key,
  signatures: { [userId]: { [`ed25519:${deviceId}`]: 'whatever' } },
})

const oneTimeKeys = (person: Person, names: readonly string[]) =>
  person.post('/keys/upload', {
    one_time_keys: Object.fromEntries(names.map(name => [`signed_curve25519:${name}`, signedKey(person, name)])),
    fallback_keys: { 'signed_curve25519:last': { ...signedKey(person, 'last'), fallback: true } },
  })

const claim = async (person: Person, target: Person) => {
  const claimed = await person.post('/keys/claim', {
    one_time_keys: { [target.userId]: { [target.deviceId]: 'signed_curve25519' } },
  })
  return Object.keys((at(claimed, 'one_time_keys', target.userId, target.deviceId) ?? {}) as object)
}

beforeAll(async () => {
  origin = await newPlace()
  server = await startTestServer({ on: origin, loops: [], clock: 'system' })
  settings = await writeSettings(origin.dataDir, origin.database.url)
  backup = join(origin.dataDir, 'lethe.backup')
  const [alice, bob, gone] = [await register(server), await register(server), await register(server)]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  await gone.join(room)
  const short = await alice.createRoom({
    initial_state: [{ type: 'm.room.retention', state_key: '', content: { max_lifetime: 3_000 } }],
  })
  const kept = await alice.send(room, 'words that stay')
  const redacted = await bob.send(room, 'words to be taken back')
  await gone.send(room, 'words of somebody who leaves')
  await gone.put(path`/user/${gone.userId}/account_data/org.example.notes`, { note: 'private' })
  const picture = await uploadAs(alice, Buffer.from('a picture'), 'image/png', 'a.png')
  const deletedPicture = await uploadAs(alice, Buffer.from('another'), 'image/png', 'b.png')
  await oneTimeKeys(bob, ['one', 'two', 'three'])
  const fleeting = await alice.send(short, 'words that pass')
  const since = await alice.now()
  story = { alice, bob, gone, room, kept, redacted, fleeting, picture, deletedPicture, since }
}, patienceMs)

afterAll(async () => {
  await server?.close()
  for (const { database, dataDir } of places) {
    await database.drop()
    await rm(dataDir, { recursive: true, force: true })
  }
})

const at2 = (url: string, person: Person) => new Caller(url, person.accessToken)

describe('lethe backup', () => {
  it(
    'writes one file beside a running server, for the operator alone, without the keys',
    async () => {
      const { code, json, err } = await lethe(settings, ['backup', backup])
      expect([code, err]).toEqual([0, ''])
      expect(json).toMatchObject({ media_files: 2, missing_files: 0, signing_key: true, keyring: false })
      expect(json['rows']).toBeGreaterThan(50)
      expect((await stat(backup)).mode & 0o777).toBe(0o600)
      const bytes = await readFile(backup)
      const keyring = await readFile(server.config.sealing.keyring.path)
      expect(bytes.includes(keyring.subarray(-73, -32))).toBe(false)
      expect(bytes.includes('words that stay')).toBe(false)
    },
    patienceMs,
  )

  it(
    'says what keeps it from being written, and leaves nothing then',
    async () => {
      const { code, err } = await lethe(settings, ['backup', join(origin.dataDir, 'nowhere', 'file')])
      expect([code, err]).toEqual([1, expect.stringMatching(/cannot be written \(ENOENT\)/)])
      const wrong = await writeSettings(await mkdtemp(join(tmpdir(), 'lethe-test-wrong-')), origin.database.url, { server_name: 'other.test' }) // prettier-ignore
      expect(await lethe(wrong, ['backup', join(origin.dataDir, 'other')])).toMatchObject({ code: 1, err: expect.stringMatching(/belongs to the server "lethe.test"/) }) // prettier-ignore
      await expect(stat(join(origin.dataDir, 'other'))).rejects.toThrow()
    },
    patienceMs,
  )
})

describe('lethe restore', () => {
  it(
    'refuses what is no backup, damaged, another server’s, or not for an empty database, and writes nothing then',
    async () => {
      const place = await newPlace({ empty: true })
      const file = await writeSettings(place.dataDir, place.database.url)
      const refused = async (from: string, pattern: RegExp, settingsFile = file) => {
        const { code, err } = await lethe(settingsFile, ['restore', from])
        expect([code, err]).toEqual([1, expect.stringMatching(pattern)])
      }
      const bytes = await readFile(backup)
      const copy = join(place.dataDir, 'copy')
      await refused(copy, /cannot be read \(ENOENT\)/)
      await writeFile(copy, bytes.subarray(0, bytes.length / 2))
      await refused(copy, /is not a backup of Lethe’s, or is not whole/)
      await refused(backup, /keyring is missing/)
      await cp(join(origin.dataDir, 'keyring'), join(place.dataDir, 'keyring'), { recursive: true })
      const flipped = Buffer.from(bytes)
      const middle = flipped.indexOf('tables/events.copy') + 200
      flipped[middle] = (flipped[middle] ?? 0) ^ 1
      await writeFile(copy, flipped)
      await refused(copy, /The backup is damaged/)
      await refused(backup, /backup of the server "lethe.test"/, await writeSettings(place.dataDir, place.database.url, { server_name: 'x.test' })) // prettier-ignore
      await writeSettings(place.dataDir, place.database.url)
      await writeFile(join(place.dataDir, 'signing.key'), 'ed25519 a_other AAAA\n')
      await refused(backup, /another signing key/)
      await rm(join(place.dataDir, 'signing.key'))
      await refused(backup, /A server runs on this database/, settings)
      // Nothing of all that has left a trace: a schema of ours would be a server's to be.
      const { code, json } = await lethe(file, ['migrate', '--plan'])
      expect([code, (json['pending'] as unknown[]).length > 5]).toEqual([0, true])
    },
    patienceMs,
  )

  it(
    'brings back what was, but nothing that was to be forgotten since, and no key twice',
    async () => {
      const { alice, bob, gone, room, kept, redacted, fleeting, picture, deletedPicture, since } = story
      // After the backup: keys are handed out, words are taken back, an account is erased, a picture deleted.
      const handedOut = [await claim(alice, bob), await claim(alice, bob)].flat()
      expect(handedOut).toHaveLength(2)
      await bob.put(path`/rooms/${room}/redact/${redacted}/x`, {})
      const lost = await alice.send(room, 'words after the backup')
      const later = await alice.now()
      await eraseAccount(server.ctx, await localAccount(server.ctx, gone.userId as UserId))
      await eraseAll(server.ctx)
      await deleteMedia(server.ctx, deletedPicture)
      await new Promise(resolve => setTimeout(resolve, 3_100))
      await sweep(server.ctx)
      await sweep(server.ctx)

      const place = await newPlace({ empty: true })
      const file = await writeSettings(place.dataDir, place.database.url)
      await cp(join(origin.dataDir, 'keyring'), join(place.dataDir, 'keyring'), { recursive: true })
      const { code, json, err } = await lethe(file, ['restore', backup])
      expect([code, err]).toEqual([0, ''])
      expect(json).toMatchObject({ server_name: 'lethe.test', media_files: 2, migrated: [], expired: 1, erased_accounts: 1, unreadable_messages: 1, unreadable_media: 1 }) // prettier-ignore

      const restored = await startTestServer({ on: place, loops: [], clock: 'system' })
      try {
        const [alice2, bob2] = [at2(restored.url, alice), at2(restored.url, bob)]
        const event = (id: string) => alice2.request('GET', path`/rooms/${room}/event/${id}`)
        expect((await event(kept)).json).toMatchObject({ content: { body: 'words that stay' } })
        for (const id of [redacted, fleeting, lost]) expect([id, (await event(id)).status]).toEqual([id, 404])
        expect((await downloadAs(alice2, picture)).bytes.toString()).toBe('a picture')
        expect((await downloadAs(alice2, deletedPicture)).status).toBe(404)
        expect((await at2(restored.url, gone).request('GET', '/account/whoami')).status).toBe(401)
        expect((await new Caller(restored.url).request('POST', '/login', { type: 'm.login.password', identifier: { type: 'm.id.user', user: gone.userId }, password: gone.password })).status).toBe(403) // prettier-ignore

        // None of the keys is left, so none is handed out twice; the device is told to make new ones.
        const claimed = await alice2.post('/keys/claim', {
          one_time_keys: { [bob.userId]: { [bob.deviceId]: 'signed_curve25519' } },
        })
        expect(Object.keys(at(claimed, 'one_time_keys', bob.userId, bob.deviceId) as object)).toEqual(['signed_curve25519:last']) // prettier-ignore
        const told = await bob2.get('/sync')
        expect(at(told, 'device_one_time_keys_count', 'signed_curve25519') ?? 0).toBe(0)
        expect(told['device_unused_fallback_key_types']).toEqual([])

        // A token from before the backup goes on; one from after it starts its client afresh.
        const next = await alice2.put(path`/rooms/${room}/send/m.room.message/new`, { msgtype: 'm.text', body: 'on we go' }) // prettier-ignore
        const went = await alice2.get('/sync', { since })
        expect(JSON.stringify(went)).toContain(String(next['event_id']))
        const anew = await alice2.get('/sync', { since: later })
        expect(JSON.stringify(anew)).toContain(String(next['event_id']))
        expect(at(anew, 'rooms', 'join', room, 'state')).toBeDefined()
      } finally {
        await restored.close()
      }
    },
    patienceMs,
  )
})
