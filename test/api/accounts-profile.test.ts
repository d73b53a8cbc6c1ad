import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { setFlags } from '../../src/accounts/account.ts'
import { profile } from '../../src/accounts/profile.ts'
import { type Context } from '../../src/context.ts'
import { parseUserId, type UserId } from '../../src/protocol/identifiers.ts'
import { type JsonValue } from '../../src/protocol/json.ts'
import { accountByUserId } from '../../src/storage/accounts.ts'
import { nobody, objectsAt, path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
let alice: Person
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.close())
beforeEach(async () => {
  alice = await register(server)
})

const of = (person: Person, key?: string) =>
  key === undefined ? path`/profile/${person.userId}` : path`/profile/${person.userId}/${key}`
const put = (person: Person, key: string, value: JsonValue) => person.request('PUT', of(person, key), { [key]: value })

describe('a profile', () => {
  it('can be set, read whole and in parts, and removed', async () => {
    await alice.put(of(alice, 'displayname'), { displayname: 'Alice' })
    await alice.put(of(alice, 'avatar_url'), { avatar_url: 'mxc://lethe.test/abc' })
    await alice.put(of(alice, 'm.tz'), { 'm.tz': 'Europe/London' })
    const bob = await register(server)
    expect(await bob.get(of(alice))).toEqual({
      displayname: 'Alice',
      avatar_url: 'mxc://lethe.test/abc',
      'm.tz': 'Europe/London',
    })
    expect(await bob.get(of(alice, 'displayname'))).toEqual({ displayname: 'Alice' })
    await alice.delete(of(alice, 'm.tz'))
    await alice.delete(of(alice, 'm.tz'))
    expect((await bob.request('GET', of(alice, 'm.tz'))).status).toBe(404)
    expect(Object.keys(await bob.get(of(alice)))).toEqual(['avatar_url', 'displayname'])
  })

  it('answers under the unstable path too', async () => {
    const unstable = path`/_matrix/client/unstable/uk.tcpip.msc4133/profile/${alice.userId}/${'org.example.pet'}`
    await alice.put(unstable, { 'org.example.pet': { kind: 'cat', age: 3 } })
    expect(await alice.get(unstable)).toEqual({ 'org.example.pet': { kind: 'cat', age: 3 } })
  })

  it('is empty for somebody who says nothing, and not found for somebody unknown', async () => {
    expect(await alice.get(of(alice))).toEqual({})
    expect((await alice.request('GET', '/profile/@unknown:lethe.test')).status).toBe(404)
    expect((await alice.request('GET', '/profile/@unknown:elsewhere.test')).status).toBe(404)
  })

  it('is not shown to nobody', async () => {
    await alice.put(of(alice, 'displayname'), { displayname: 'Alice' })
    for (const target of [of(alice), of(alice, 'displayname')]) {
      const done = await nobody(server).request('GET', target)
      expect(done.status).toBe(401)
      expect(done.json).toMatchObject({ errcode: 'M_MISSING_TOKEN' })
    }
  })

  it('is shown to everybody where the operator says so, and changed by its owner alone', async () => {
    const open = await startTestServer({ settings: { profiles: { visible_to: 'everyone' } } })
    try {
      const dora = await register(open)
      await dora.put(of(dora, 'displayname'), { displayname: 'Dora' })
      expect(await nobody(open).get(of(dora))).toEqual({ displayname: 'Dora' })
      expect(await nobody(open).get(of(dora, 'displayname'))).toEqual({ displayname: 'Dora' })
      const refused = await nobody(open).request('PUT', of(dora, 'displayname'), { displayname: 'Mallory' })
      expect(refused.status).toBe(401)
    } finally {
      await open.close()
    }
  })

  it('is changed by its owner only', async () => {
    const bob = await register(server)
    expect((await bob.request('PUT', of(alice, 'displayname'), { displayname: 'x' })).status).toBe(403)
    expect((await bob.request('DELETE', of(alice, 'displayname'))).status).toBe(403)
  })

  it('is not changed while the account is suspended', async () => {
    const userId = parseUserId(alice.userId)
    const account = userId && (await accountByUserId(server.ctx.db.kysely, userId))
    if (!account) throw new Error('no account')
    await setFlags(server.ctx, account, { isSuspended: true })
    const done = await put(alice, 'displayname', 'Alice')
    expect(done.status).toBe(403)
    expect(done.json).toMatchObject({ errcode: 'M_USER_SUSPENDED' })
  })

  it('tells its rooms of new names and avatars, once for each, and of nothing else', async () => {
    const room = await alice.createRoom()
    const member = () => alice.state(room, 'm.room.member', alice.userId)
    const events = async () =>
      objectsAt(await alice.messages(room), 'chunk').filter(each => each.type === 'm.room.member')
    await put(alice, 'displayname', 'Alice')
    expect(await member()).toEqual({ membership: 'join', displayname: 'Alice' })
    await put(alice, 'displayname', 'Alice')
    await put(alice, 'org.example.pet', 'cat')
    await put(alice, 'avatar_url', 'mxc://lethe.test/abc')
    expect(await member()).toEqual({ membership: 'join', displayname: 'Alice', avatar_url: 'mxc://lethe.test/abc' })
    await alice.delete(of(alice, 'displayname'))
    await alice.delete(of(alice, 'displayname'))
    expect(await member()).toEqual({ membership: 'join', avatar_url: 'mxc://lethe.test/abc' })
    expect(await events()).toHaveLength(4)
  })

  it('ends up the same in every room when a name and an avatar are set at once', async () => {
    const rooms = await Promise.all(Array.from({ length: 24 }, () => alice.createRoom()))
    for (const round of ['one', 'two', 'three']) {
      await Promise.all([
        put(alice, 'displayname', `First ${round}`),
        put(alice, 'avatar_url', `mxc://lethe.test/${round}`),
        put(alice, 'displayname', `Second ${round}`),
      ])
      const said = await alice.get(of(alice))
      const told = await Promise.all(rooms.map(room => alice.state(room, 'm.room.member', alice.userId)))
      expect(told).toEqual(rooms.map(() => ({ membership: 'join', ...said })))
    }
  })

  it('loses a name that is set to nothing', async () => {
    await put(alice, 'displayname', 'Alice')
    await put(alice, 'displayname', '')
    expect(await alice.get(of(alice))).toEqual({})
    await put(alice, 'avatar_url', 'mxc://lethe.test/abc')
    await put(alice, 'avatar_url', null)
    expect(await alice.get(of(alice))).toEqual({})
  })

  it.each([
    ['a name of 257 bytes', 'displayname', 'ä'.repeat(128) + 'x', 'M_INVALID_PARAM'],
    ['a name that is a number', 'displayname', 7, 'M_BAD_JSON'],
    ['an avatar of 1,001 bytes', 'avatar_url', 'x'.repeat(1_001), 'M_INVALID_PARAM'],
    ['a time zone that is a list', 'm.tz', [], 'M_BAD_JSON'],
    ['a key without a namespace', 'pet', 'cat', 'M_INVALID_PARAM'],
    ['a key with capitals', 'org.Example', 'cat', 'M_INVALID_PARAM'],
    ['a key that ends in a dot', 'org.', 'cat', 'M_INVALID_PARAM'],
    ['a key of 256 bytes', `org.${'x'.repeat(252)}`, 'cat', 'M_KEY_TOO_LARGE'],
    ['64 KiB in one field', 'org.example', 'x'.repeat(65_536), 'M_PROFILE_TOO_LARGE'],
  ])('refuses %s', async (_what, key, value, errcode) => {
    const done = await put(alice, key, value)
    expect(done.status).toBe(400)
    expect(done.json).toMatchObject({ errcode })
  })

  it('takes a name of 256 bytes and a key of 255', async () => {
    expect((await put(alice, 'displayname', 'ä'.repeat(128))).status).toBe(200)
    expect((await put(alice, `org.${'x'.repeat(251)}`, null)).status).toBe(200)
  })

  it('refuses a body without the key', async () => {
    const done = await alice.request('PUT', of(alice, 'displayname'), { name: 'Alice' })
    expect(done.json).toMatchObject({ errcode: 'M_MISSING_PARAM' })
    const inherited = await alice.request('PUT', of(alice, 'org.example'), {})
    expect(inherited.json).toMatchObject({ errcode: 'M_MISSING_PARAM' })
  })

  it('has 64 KiB in all, however many write at once', async () => {
    const half = 'x'.repeat(40_000)
    const keys = ['org.one', 'org.two', 'org.three']
    const done = await Promise.all(keys.map(key => put(alice, key, half)))
    expect(done.filter(each => each.status === 200)).toHaveLength(1)
    const refused = done.filter(each => each.status === 400)
    for (const each of refused) expect(each.json).toMatchObject({ errcode: 'M_PROFILE_TOO_LARGE' })
    const written = keys[done.findIndex(each => each.status === 200)] ?? ''
    expect((await put(alice, written, half)).status).toBe(200)
  })

  it('of another server is asked of it, and names that are no names are left out', async () => {
    const asked: UserId[] = []
    const remote = {
      ...server.ctx.remote,
      enabled: true,
      profile: (userId: UserId) => {
        asked.push(userId)
        return Promise.resolve({ displayname: 'Zoe', avatar_url: { not: 'a text' }, 'org.example': 1 })
      },
    }
    const ctx: Context = { ...server.ctx, remote }
    const zoe = parseUserId('@zoe:elsewhere.test')
    if (!zoe) throw new Error('not a user')
    expect(await profile(ctx, zoe)).toEqual({ displayname: 'Zoe', 'org.example': 1 })
    expect(asked).toEqual([zoe])
  })
})
