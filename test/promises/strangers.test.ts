import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { at, nobody, path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { OlmDevice } from '../encryption/olm-device.ts'

let server: TestServer
let alice: Person

beforeAll(async () => {
  // The settings as they are without any of the operator's.
  server = await startTestServer({ settings: { profiles: { visible_to: undefined } } })
  alice = await register(server)
  await alice.put(path`/profile/${alice.userId}/displayname`, { displayname: 'Alice' })
})
afterAll(() => server.close())

const whole = () => path`/profile/${alice.userId}`
const name = () => path`/profile/${alice.userId}/displayname`

describe('a profile', () => {
  it('is shown to oneself and to those who share a room, for as long as they do', async () => {
    expect(await alice.get(whole())).toEqual({ displayname: 'Alice' })
    const bob = await register(server)
    const room = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(room)
    expect(await bob.get(whole())).toEqual({ displayname: 'Alice' })
    expect(await bob.get(name())).toEqual({ displayname: 'Alice' })
    await bob.leave(room)
    expect((await bob.request('GET', whole())).status).toBe(404)
  })

  it('is kept from strangers, in the words that are said of nobody at all', async () => {
    const bob = await register(server)
    for (const key of ['', '/displayname']) {
      const closed = await bob.request('GET', path`/profile/${alice.userId}` + key)
      const absent = await bob.request('GET', path`/profile/${'@nobody:lethe.test'}` + key)
      expect(closed.status).toBe(404)
      expect([closed.status, closed.json]).toEqual([absent.status, absent.json])
      expect((await nobody(server).request('GET', path`/profile/${alice.userId}` + key)).status).toBe(401)
    }
  })

  it('is shown to those who invited its owner, and not the other way round', async () => {
    const [bob, carol] = [await register(server), await register(server)]
    const room = await bob.createRoom()
    await bob.invite(room, alice.userId)
    expect(await bob.get(whole())).toEqual({ displayname: 'Alice' })
    // Whoever is invited to a large room could ask about all in it without ever coming in.
    const hers = await alice.createRoom()
    await alice.invite(hers, carol.userId)
    expect((await carol.request('GET', whole())).status).toBe(404)
  })

  it('is shown to all who have an account, where the operator says so', async () => {
    const wider = await startTestServer({ settings: { profiles: { visible_to: 'users' } } })
    try {
      const [dora, emil] = [await register(wider), await register(wider)]
      await dora.put(path`/profile/${dora.userId}/displayname`, { displayname: 'Dora' })
      expect(await emil.get(path`/profile/${dora.userId}`)).toEqual({ displayname: 'Dora' })
      expect((await nobody(wider).request('GET', path`/profile/${dora.userId}`)).status).toBe(401)
    } finally {
      await wider.close()
    }
  })
})

describe('the directory of rooms', () => {
  it('is closed to those without an account', async () => {
    await alice.createRoom({ visibility: 'public', room_alias_name: 'listed' })
    for (const [method, target] of [
      ['GET', '/publicRooms'],
      ['POST', '/publicRooms'],
    ] as const) {
      expect((await nobody(server).request(method, target, method === 'POST' ? {} : undefined)).status).toBe(401)
      expect((await alice.request(method, target, method === 'POST' ? {} : undefined)).status).toBe(200)
    }
  })
})

describe('the name of a device', () => {
  it.each([false, true])('is shown to others only if the operator says so (%s)', async isShared => {
    const chosen = await startTestServer({ settings: { sharing: { device_names: isShared } } })
    try {
      const [dora, emil] = [await register(chosen), await register(chosen)]
      await dora.put(path`/devices/${dora.deviceId}`, { display_name: 'Red phone' })
      await dora.post('/keys/upload', { device_keys: new OlmDevice(dora).deviceKeys() })
      const seenBy = async (viewer: Person) => {
        const answer = await viewer.post('/keys/query', { device_keys: { [dora.userId]: [] } })
        return at(answer, 'device_keys', dora.userId, dora.deviceId, 'unsigned', 'device_display_name')
      }
      expect(await seenBy(dora)).toBe('Red phone')
      expect(await seenBy(emil)).toBe(isShared ? 'Red phone' : undefined)
    } finally {
      await chosen.close()
    }
  })
})
