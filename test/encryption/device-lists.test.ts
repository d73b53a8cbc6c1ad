import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { type DeviceListChanges, deviceListChanges, deviceListChangesIn } from '../../src/encryption/device-lists.ts'
import { parseUserId, type UserId } from '../../src/protocol/identifiers.ts'
import { type LogEntry } from '../../src/storage/log-entries.ts'
import { at, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { CrossSigningIdentity, OlmDevice } from './olm-device.ts'

let server: TestServer
const log: LogEntry[] = []
beforeAll(async () => {
  server = await startTestServer()
  server.ctx.log.subscribe(entries => log.push(...entries))
})
afterAll(() => server.close())

const now = () => server.ctx.log.head

function idOf(person: Person): UserId {
  const userId = parseUserId(person.userId)
  if (userId === null) throw new Error('a person has a user ID')
  return userId
}

const sorted = ({ changed, left }: DeviceListChanges) => ({ changed: [...changed].sort(), left: [...left].sort() })

/** What a person is told of everything after a position; the database and the log must agree on it. */
async function toldTo(person: Person, after: number): Promise<{ changed: string[]; left: string[] }> {
  const fromDatabase = sorted(await deviceListChanges(server.ctx, idOf(person), after, now()))
  const entries = log.filter(entry => entry.position > after)
  expect(sorted(await deviceListChangesIn(server.ctx, idOf(person), entries))).toEqual(fromDatabase)
  return fromDatabase
}

const uploadKeys = (person: Person) => person.post('/keys/upload', { device_keys: new OlmDevice(person).deviceKeys() })
const ids = (...people: readonly Person[]) => people.map(person => person.userId).sort()

async function roomOf(owner: Person, ...others: readonly Person[]): Promise<string> {
  const room = await owner.createRoom({ preset: 'public_chat' })
  for (const other of others) await other.join(room)
  return room
}

describe('device lists', () => {
  it('tell of new keys to those who share a room, and to nobody else', async () => {
    const [alice, bob, carol] = [await register(server), await register(server), await register(server)]
    await roomOf(alice, bob)
    const start = now()
    await uploadKeys(bob)
    expect(await toldTo(alice, start)).toEqual({ changed: ids(bob), left: [] })
    expect(await toldTo(bob, start)).toEqual({ changed: ids(bob), left: [] })
    expect(await toldTo(carol, start)).toEqual({ changed: [], left: [] })
  })

  it('do not tell of one-time keys, nor of the same keys again', async () => {
    const [alice, bob] = [await register(server), await register(server)]
    await roomOf(alice, bob)
    const device = new OlmDevice(bob)
    const device_keys = device.deviceKeys()
    await bob.post('/keys/upload', { device_keys })
    const start = now()
    await bob.post('/keys/upload', { device_keys, one_time_keys: device.oneTimeKeys(1) })
    expect(now()).toBe(start)
  })

  it('tell of cross-signing keys and of devices that are gone', async () => {
    const [alice, bob] = [await register(server), await register(server)]
    await roomOf(alice, bob)
    const second = await bob.login()
    await uploadKeys(second)
    let start = now()
    await bob.post('/keys/device_signing/upload', new CrossSigningIdentity(bob.userId).upload())
    expect(await toldTo(alice, start)).toEqual({ changed: ids(bob), left: [] })
    start = now()
    await second.post('/logout')
    expect(await toldTo(alice, start)).toEqual({ changed: ids(bob), left: [] })
  })

  it('tell the signer, and nobody else, whom they have verified', async () => {
    const [alice, bob, carol] = [await register(server), await register(server), await register(server)]
    await roomOf(alice, bob, carol)
    const [own, theirs] = [new CrossSigningIdentity(alice.userId), new CrossSigningIdentity(bob.userId)]
    await alice.post('/keys/device_signing/upload', own.upload())
    await bob.post('/keys/device_signing/upload', theirs.upload())
    const start = now()
    const signed = own.userSigning.sign(theirs.master.key)
    await alice.post('/keys/signatures/upload', { [bob.userId]: { [theirs.master.publicKey]: signed } })
    expect(await toldTo(alice, start)).toEqual({ changed: ids(alice, bob), left: [] })
    expect(await toldTo(bob, start)).toEqual({ changed: ids(alice), left: [] })
    expect(await toldTo(carol, start)).toEqual({ changed: ids(alice), left: [] })
  })

  it('tell who comes into a room and whom one meets there', async () => {
    const [alice, bob, carol] = [await register(server), await register(server), await register(server)]
    const room = await roomOf(alice, bob)
    const start = now()
    await carol.join(room)
    expect(await toldTo(alice, start)).toEqual({ changed: ids(carol), left: [] })
    expect(await toldTo(carol, start)).toEqual({ changed: ids(alice, bob), left: [] })
  })

  it('tell who is invited, for they may be sent keys', async () => {
    const [alice, bob] = [await register(server), await register(server)]
    const room = await roomOf(alice)
    const start = now()
    await alice.invite(room, bob.userId)
    expect(await toldTo(alice, start)).toEqual({ changed: ids(bob), left: [] })
    expect(await toldTo(bob, start)).toEqual({ changed: [], left: [] })
  })

  it('tell who has left the last room that was shared, and nothing of their keys from then on', async () => {
    const [alice, bob] = [await register(server), await register(server)]
    const rooms = [await roomOf(alice, bob), await roomOf(alice, bob)]
    let start = now()
    await bob.leave(rooms[0] ?? '')
    expect(await toldTo(alice, start)).toEqual({ changed: [], left: [] })
    start = now()
    await alice.leave(rooms[1] ?? '')
    expect(await toldTo(alice, start)).toEqual({ changed: [], left: ids(bob) })
    expect(await toldTo(bob, start)).toEqual({ changed: [], left: ids(alice) })
    start = now()
    await uploadKeys(bob)
    expect(await toldTo(alice, start)).toEqual({ changed: [], left: [] })
    // What is missed meanwhile is made up for when they meet again.
    await bob.join(rooms[0] ?? '')
    expect(await toldTo(alice, start)).toEqual({ changed: ids(bob), left: [] })
  })

  it('tell nothing of those who change their names, or talk', async () => {
    const [alice, bob] = [await register(server), await register(server)]
    const room = await roomOf(alice, bob)
    const start = now()
    await bob.setState(room, 'm.room.member', { membership: 'join', displayname: 'Robert' }, bob.userId)
    await bob.send(room, 'hello')
    expect(await toldTo(alice, start)).toEqual({ changed: [], left: [] })
  })

  type Action = { readonly who: number; readonly room: number; readonly what: 'join' | 'leave' | 'upload' | 'rename' }
  const actions = fc.array(
    fc.record<Action>({
      who: fc.nat(3),
      room: fc.nat(2),
      what: fc.constantFrom<Action['what']>('join', 'join', 'leave', 'upload', 'rename'),
    }),
    { minLength: 1, maxLength: 15 },
  )

  it('are right after anything that people may do', async () => {
    const people = await Promise.all(Array.from({ length: 4 }, () => register(server)))
    const runs = Number(process.env['LETHE_TEST_RUNS'] ?? 6)
    const check = fc.asyncProperty(actions, async sequence => {
      const owner = await register(server)
      const rooms = await Promise.all(Array.from({ length: 3 }, () => roomOf(owner)))
      /** Who is in which of the rooms, and whose keys have changed, at each point of the story. */
      const joined = rooms.map(() => new Set<Person>())
      const points: { position: number; sharing: Map<Person, Set<Person>>; uploaded: Person[] }[] = []
      const sharingNow = () =>
        new Map(people.map(one => [one, new Set(people.filter(two => joined.some(room => room.has(one) && room.has(two))))])) // prettier-ignore
      const uploaded: Person[] = []
      const note = () => points.push({ position: now(), sharing: sharingNow(), uploaded: [...uploaded] })
      note()
      for (const { who, room, what } of sequence) {
        const [person, roomId, members] = [people[who], rooms[room], joined[room]]
        if (!person || roomId === undefined || !members) continue
        if (what === 'upload') {
          await uploadKeys(person)
          uploaded.push(person)
        } else if (what === 'join') {
          await person.join(roomId)
          members.add(person)
        } else if (members.has(person)) {
          if (what === 'leave') {
            await person.leave(roomId)
            members.delete(person)
          } else await person.setState(roomId, 'm.room.member', { membership: 'join', displayname: 'N' }, person.userId)
        }
        note()
      }
      const last = sharingNow()
      for (const { position, sharing, uploaded: before } of points) {
        for (const person of people) {
          const told = await toldTo(person, position)
          const others = people.filter(other => other !== person)
          const isNear = (other: Person) => last.get(person)?.has(other) === true
          const wasNear = (other: Person) => sharing.get(person)?.has(other) === true
          const hasNewKeys = (other: Person) => uploaded.slice(before.length).includes(other)
          const mustChange = others.filter(other => isNear(other) && (!wasNear(other) || hasNewKeys(other)))
          expect(told.changed).toEqual(expect.arrayContaining(ids(...mustChange)))
          // Whoever is not told of may only be left out, and whoever is told of must be near.
          const strangers = ids(...others.filter(other => !isNear(other)))
          expect(told.changed.filter(userId => strangers.includes(userId))).toEqual([])
          const peopleLeft = told.left.filter(userId => userId !== owner.userId)
          expect(peopleLeft).toEqual(ids(...others.filter(other => wasNear(other) && !isNear(other))))
        }
      }
      for (const person of people) for (const room of rooms) await person.post(`/rooms/${room}/leave`).catch(() => null)
    })
    await fc.assert(check, { numRuns: runs, endOnFailure: true })
  }, 120_000)
})

describe('GET /keys/changes', () => {
  const token = (position: number) => `s${position}_0_${server.ctx.log.epoch}`
  it('tells what changed between two tokens', async () => {
    const [alice, bob] = [await register(server), await register(server)]
    await roomOf(alice, bob)
    const from = token(now())
    await uploadKeys(bob)
    expect(await alice.get('/keys/changes', { from, to: token(now()) })).toEqual({ changed: [bob.userId], left: [] })
    expect(await alice.get('/keys/changes', { from: token(now()), to: token(now()) })).toEqual({
      changed: [],
      left: [],
    })
  })

  it('tells everything to whoever comes with a token from before a restore', async () => {
    const [alice, bob] = [await register(server), await register(server)]
    await roomOf(alice, bob)
    await uploadKeys(bob)
    const { changed } = await alice.get('/keys/changes', { from: 's999999_0_elsewhere', to: token(now()) })
    expect(changed).toContain(bob.userId)
  })

  it('refuses what is no token', async () => {
    const alice = await register(server)
    for (const query of [{ from: 'x', to: token(1) }, { from: token(1), to: '' }, { from: token(1) }]) {
      const refused = await alice.request('GET', '/keys/changes', undefined, { query })
      expect([refused.status, typeof at(refused.json, 'errcode')]).toEqual([400, 'string'])
    }
  })
})
