import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { localAccount } from '../../src/admin/local-account.ts'
import { deactivate } from '../../src/privacy/deactivate.ts'
import { eraseAccount } from '../../src/privacy/erase.ts'
import { eraseAll } from '../../src/privacy/eraser.ts'
import { sealOf } from '../../src/privacy/seal.ts'
import { type UserId } from '../../src/protocol/identifiers.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { Caller, path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { lethe, writeSettings } from './lethe.ts'
import { type Place, Places } from './places.ts'

const patienceMs = 180_000

const places = new Places()
let server: TestServer
let origin: Place

beforeEach(async () => {
  origin = await places.add()
  server = await startTestServer({ on: origin, loops: [], clock: 'system' })
})
afterEach(async () => {
  await server.close()
  await places.remove()
})

const account = ({ userId }: Person) => localAccount(server.ctx, userId as UserId)
const close = async (person: Person) => deactivate(server.ctx, await account(person), false)
const erase = async (person: Person) => {
  await eraseAccount(server.ctx, await account(person))
  await eraseAll(server.ctx)
}

/** People in one room, each of whom has said something. */
async function talk(names: readonly string[]) {
  const reader = await register(server)
  const room = await reader.createRoom({ preset: 'public_chat' })
  const people: Record<string, Person> = {}
  const said: Record<string, string> = {}
  for (const name of names) {
    const person = await register(server)
    await person.join(room)
    people[name] = person
    said[name] = await person.send(room, `words of ${name}`)
    // What somebody says last stays as an empty shell while the room's next event is built on it.
    await reader.send(room, 'and so on')
  }
  return { reader, room, said, person: (name: string) => people[name] ?? reader }
}

type Talk = Awaited<ReturnType<typeof talk>>

const backUp = async (): Promise<string> => {
  const file = join(origin.dataDir, 'lethe.backup')
  const { code, err } = await lethe(await writeSettings(origin.dataDir, origin.database.url), ['backup', file])
  expect([code, err]).toEqual([0, ''])
  return file
}

/** Restores elsewhere, with the keyring as it is; returns the place and what the command said. */
const restore = async (backup: string) => {
  const place = await places.add({ empty: true })
  await cp(join(origin.dataDir, 'keyring'), join(place.dataDir, 'keyring'), { recursive: true })
  const { code, json, err } = await lethe(await writeSettings(place.dataDir, place.database.url), ['restore', backup])
  expect([code, err]).toEqual([0, ''])
  return { place, json }
}

/** Whose words can be read there, and who can log in. */
const lookAt = async (place: Place, { reader, room, said, person }: Talk) => {
  const there = await startTestServer({ on: place, loops: [], clock: 'system' })
  try {
    const caller = new Caller(there.url, reader.accessToken)
    const [readable, open]: [string[], string[]] = [[], []]
    for (const [name, eventId] of Object.entries(said)) {
      const event = await caller.request('GET', path`/rooms/${room}/event/${eventId}`)
      if (JSON.stringify(event.json).includes(`words of ${name}`)) readable.push(name)
      const { userId, password } = person(name)
      const login = { type: 'm.login.password', identifier: { type: 'm.id.user', user: userId }, password }
      if ((await new Caller(there.url).request('POST', '/login', login)).status === 200) open.push(name)
    }
    return { readable, open }
  } finally {
    await there.close()
  }
}

describe('an account that was closed, or erased, after a backup', () => {
  it(
    'is closed again without what it wrote being touched, or erased again',
    async () => {
      const story = await talk(['stays', 'closes', 'goes', 'goes later'])
      await close(story.person('goes later'))
      await sweep(server.ctx)
      const backup = await backUp()
      await close(story.person('closes'))
      await erase(story.person('goes'))
      await erase(story.person('goes later'))
      await sweep(server.ctx)
      const { place, json } = await restore(backup)
      expect(json).toMatchObject({ closed_accounts: 1, erased_accounts: 2, unreadable_messages: 0 })
      expect(await lookAt(place, story)).toEqual({ readable: ['stays', 'closes'], open: ['stays'] })
    },
    patienceMs,
  )

  it(
    'is so after the keys were rotated, too',
    async () => {
      const story = await talk(['stays', 'closes', 'goes'])
      const backup = await backUp()
      await close(story.person('closes'))
      await erase(story.person('goes'))
      await sweep(server.ctx)
      // It opens what is from before until it ends; from then on the backup is of no use.
      await server.ctx.keyring.beginRotation()
      const { place, json } = await restore(backup)
      expect(json).toMatchObject({ closed_accounts: 1, erased_accounts: 1 })
      expect(await lookAt(place, story)).toEqual({ readable: ['stays', 'closes'], open: ['stays'] })
    },
    patienceMs,
  )

  it(
    'is so with a keyring of which an older copy was taken on',
    async () => {
      const story = await talk(['stays', 'closes', 'goes', 'closes later'])
      const settings = await writeSettings(origin.dataDir, origin.database.url)
      const copy = join(origin.dataDir, 'keys')
      expect(await lethe(settings, ['keys', 'backup', copy])).toMatchObject({ code: 0 })
      const before = await backUp()
      await close(story.person('closes'))
      await erase(story.person('goes'))
      await sweep(server.ctx)
      await server.close()
      expect(await lethe(settings, ['keys', 'restore', copy, '--accept-older'])).toMatchObject({ code: 0, err: '' })
      server = await startTestServer({ on: origin, loops: [], clock: 'system' })
      await close(story.person('closes later'))
      await sweep(server.ctx)
      const { place, json } = await restore(before)
      expect(json).toMatchObject({ closed_accounts: 2, erased_accounts: 1 })
      expect(await lookAt(place, story)).toEqual({ readable: ['stays', 'closes', 'closes later'], open: ['stays'] })
    },
    patienceMs,
  )
})

describe('a database from before erased accounts were told from closed ones', () => {
  it('has the markers destroyed of those that are erased, and of no others', async () => {
    const { person } = await talk(['closes', 'goes'])
    await close(person('closes'))
    await erase(person('goes'))
    const { pool } = server.ctx.db
    await pool.query('DELETE FROM dead_seals')
    await pool.query(await readFile(new URL('../../sql/0013_erasure_markers.sql', import.meta.url), 'utf8'))
    const { rows } = await pool.query<{ seal: Buffer }>('SELECT seal FROM dead_seals')
    const { userNumber } = await account(person('goes'))
    const { sealer } = server.ctx.numbers
    expect(rows.map(({ seal }) => seal)).toEqual([sealOf(sealer.erasurePlace(userNumber))])
    await sweep(server.ctx)
    const isGone = async (name: string) =>
      sealer.keyAt(sealer.erasurePlace((await account(person(name))).userNumber)) === null
    expect([await isGone('goes'), await isGone('closes')]).toEqual([true, false])
  })
})
