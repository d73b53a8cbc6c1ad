import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { at, path, type Person, register } from '../harness/people.ts'
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

const algorithm = 'm.megolm_backup.v1.curve25519-aes-sha2'
const authData = (publicKey = 'key'): JsonObject => ({
  algorithm,
  auth_data: { public_key: publicKey, signatures: {} },
})
const room = '!room:lethe.test'

interface Facts {
  readonly first_message_index?: number
  readonly forwarded_count?: number
  readonly is_verified?: boolean
  readonly label?: string
}

const session = ({ label = 'x', ...facts }: Facts = {}): JsonObject => ({
  first_message_index: 0,
  forwarded_count: 0,
  is_verified: false,
  ...facts,
  session_data: { ephemeral: 'e', ciphertext: label, mac: 'm' },
})

const newVersion = async (person: Person) => (await person.post('/room_keys/version', authData())).version as string
const putKey = (person: Person, version: string, sessionId: string, facts: Facts = {}, roomId = room) =>
  person.expect('PUT', path`/room_keys/keys/${roomId}/${sessionId}`, session(facts), { query: { version } })
const getKey = (person: Person, version: string, sessionId: string, roomId = room) =>
  person.get(path`/room_keys/keys/${roomId}/${sessionId}`, { version })
const outcome = async (method: string, target: string, body?: JsonObject, query = {}) => {
  const { status, json } = await alice.request(method, target, body, { query })
  return status === 200 ? [200] : [status, at(json, 'errcode')]
}

describe('backup versions', () => {
  it('are numbered, and the newest is the current one', async () => {
    expect(await outcome('GET', '/room_keys/version')).toEqual([404, 'M_NOT_FOUND'])
    expect(await newVersion(alice)).toBe('1')
    expect(await newVersion(alice)).toBe('2')
    const current = { ...authData(), count: 0, etag: '0', version: '2' }
    expect(await alice.get('/room_keys/version')).toEqual(current)
    expect(await alice.get('/room_keys/version/1')).toEqual({ ...current, version: '1' })
  })

  it('can be given another key, but no other algorithm or number', async () => {
    const version = await newVersion(alice)
    await alice.put(`/room_keys/version/${version}`, { ...authData('other'), version })
    expect(at(await alice.get('/room_keys/version'), 'auth_data', 'public_key')).toBe('other')
    const target = `/room_keys/version/${version}`
    expect(await outcome('PUT', target, { ...authData(), algorithm: 'm.other' })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await outcome('PUT', target, { ...authData(), version: '7' })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await outcome('PUT', '/room_keys/version/7', authData())).toEqual([404, 'M_NOT_FOUND'])
  })

  it('vanish with their keys when they are deleted, more than once if need be, and their numbers are not used again', async () => {
    await newVersion(alice)
    const second = await newVersion(alice)
    await putKey(alice, second, 'session')
    for (let times = 0; times < 2; times++) await alice.delete(`/room_keys/version/${second}`)
    expect(await outcome('GET', `/room_keys/version/${second}`)).toEqual([404, 'M_NOT_FOUND'])
    expect(await outcome('GET', '/room_keys/keys', undefined, { version: second })).toEqual([404, 'M_NOT_FOUND'])
    expect((await alice.get('/room_keys/version')).version).toBe('1')
    expect(await newVersion(alice)).toBe('3')
    await alice.delete(`/room_keys/version/${second}`)
    const { rows } = await server.ctx.db.pool.query(
      `SELECT count(*) FROM key_backups JOIN users USING (user_number) WHERE user_id = $1`,
      [alice.userId],
    )
    expect(rows).toEqual([{ count: 2 }])
  })

  it.each(['0', '01', '-1', '1.5', 'x', '99999999999999999999', '%00'])('are unknown as %s', async version => {
    await newVersion(alice)
    const [status] = await outcome('DELETE', `/room_keys/version/${version}`)
    expect([400, 404]).toContain(status)
    expect(await outcome('GET', '/room_keys/version/2')).toEqual([404, 'M_NOT_FOUND'])
    expect(await outcome('DELETE', '/room_keys/version/2')).toEqual([404, 'M_NOT_FOUND'])
  })

  it("are one's own", async () => {
    const bob = await register(server)
    await putKey(alice, await newVersion(alice), 'session')
    const version = await newVersion(bob)
    expect((await bob.get('/room_keys/keys', { version })).rooms).toEqual({})
    expect((await bob.get('/room_keys/version')).count).toBe(0)
  })

  it('need an algorithm and its data', async () => {
    expect(await outcome('POST', '/room_keys/version', { algorithm })).toEqual([400, 'M_MISSING_PARAM'])
    expect(await outcome('POST', '/room_keys/version', { auth_data: {} })).toEqual([400, 'M_MISSING_PARAM'])
    expect(await outcome('POST', '/room_keys/version', { algorithm: '', auth_data: {} })).toEqual([
      400,
      'M_INVALID_PARAM',
    ])
    const large = { algorithm, auth_data: { public_key: 'k'.repeat(65 * 1024) } }
    expect(await outcome('POST', '/room_keys/version', large)).toEqual([413, 'M_TOO_LARGE'])
  })
})

describe('backed-up keys', () => {
  it('are put, read and deleted one by one, by room and all together', async () => {
    const version = await newVersion(alice)
    const other = '!other:lethe.test'
    const query = { version }
    const put = (target: string, body: JsonObject) => alice.expect('PUT', target, body, { query })
    expect(await putKey(alice, version, 'a/+')).toEqual({ etag: '1', count: 1 })
    expect(await put(path`/room_keys/keys/${room}`, { sessions: { b: session({ label: 'b' }) } })).toEqual({ etag: '2', count: 2 }) // prettier-ignore
    const rooms = { [room]: { sessions: { c: session() } }, [other]: { sessions: { d: session(), e: session() } } }
    expect(await put('/room_keys/keys', { rooms })).toEqual({ etag: '3', count: 5 })

    expect(await getKey(alice, version, 'b')).toEqual(session({ label: 'b' }))
    const ofRoom = { 'a/+': session(), b: session({ label: 'b' }), c: session() }
    expect(await alice.get(path`/room_keys/keys/${room}`, query)).toEqual({ sessions: ofRoom })
    const ofOther = { d: session(), e: session() }
    const all = { [room]: { sessions: ofRoom }, [other]: { sessions: ofOther } }
    expect(await alice.get('/room_keys/keys', query)).toEqual({ rooms: all })
    expect(await alice.get('/room_keys/version')).toMatchObject({ etag: '3', count: 5 })

    const remove = (target: string) => alice.expect('DELETE', target, undefined, { query })
    expect(await remove(path`/room_keys/keys/${room}/${'a/+'}`)).toEqual({ etag: '4', count: 4 })
    expect(await remove(path`/room_keys/keys/${other}`)).toEqual({ etag: '5', count: 2 })
    expect(await alice.get(path`/room_keys/keys/${other}`, query)).toEqual({ sessions: {} })
    expect(await remove('/room_keys/keys')).toEqual({ etag: '6', count: 0 })
    expect(await remove('/room_keys/keys')).toEqual({ etag: '6', count: 0 })
    expect(await alice.get('/room_keys/keys', query)).toEqual({ rooms: {} })
    expect(await outcome('GET', path`/room_keys/keys/${room}/b`, undefined, query)).toEqual([404, 'M_NOT_FOUND'])
  })

  it('are read in full however many there are', async () => {
    const version = await newVersion(alice)
    const rooms = Object.fromEntries(
      Array.from({ length: 7 }, (_, place) => [
        `!r${place}:lethe.test`,
        { sessions: Object.fromEntries(Array.from({ length: 251 }, (_, number) => [`s${number}`, session({ label: `${place} ${number}` })])) }, // prettier-ignore
      ]),
    )
    const query = { version }
    expect(await alice.expect('PUT', '/room_keys/keys', { rooms }, { query })).toEqual({ etag: '1', count: 7 * 251 })
    expect(await alice.get('/room_keys/keys', query)).toEqual({ rooms })
    const more = Object.fromEntries(Array.from({ length: 1000 }, (_, number) => [`t${number}`, session()]))
    await alice.expect('PUT', path`/room_keys/keys/${room}`, { sessions: more }, { query })
    expect(await alice.get(path`/room_keys/keys/${room}`, query)).toEqual({ sessions: more })
  })

  /** In the order of their worth: every key is replaced by those before it and by no other. */
  const byWorth: readonly Facts[] = [
    { is_verified: true, first_message_index: 3, forwarded_count: 2 },
    { is_verified: true, first_message_index: 3, forwarded_count: 4 },
    { is_verified: true, first_message_index: 9, forwarded_count: 0 },
    { is_verified: false, first_message_index: 0, forwarded_count: 0 },
    { is_verified: false, first_message_index: 0, forwarded_count: 1 },
    { is_verified: false, first_message_index: 1, forwarded_count: 0 },
  ]
  it('are replaced by better ones alone', async () => {
    const version = await newVersion(alice)
    for (const [held, before] of byWorth.entries()) {
      for (const [offered, after] of byWorth.entries()) {
        const sessionId = `${held}-${offered}`
        const { etag } = await putKey(alice, version, sessionId, { ...before, label: 'before' })
        const answer = await putKey(alice, version, sessionId, { ...after, label: 'after' })
        const isBetter = offered < held
        expect(await getKey(alice, version, sessionId)).toEqual(session(isBetter ? { ...after, label: 'after' } : { ...before, label: 'before' })) // prettier-ignore
        expect(answer.etag === etag).toBe(!isBetter)
      }
    }
    expect((await alice.get('/room_keys/version')).count).toBe(byWorth.length ** 2)
  })

  it('go into the current version alone', async () => {
    const first = await newVersion(alice)
    await putKey(alice, first, 'session')
    const second = await newVersion(alice)
    const target = path`/room_keys/keys/${room}/session`
    const refused = await alice.request('PUT', target, session(), { query: { version: first } })
    expect([refused.status, refused.json]).toMatchObject([403, { errcode: 'M_WRONG_ROOM_KEYS_VERSION', current_version: second }]) // prettier-ignore
    expect(await outcome('PUT', target, session(), { version: '7' })).toEqual([404, 'M_NOT_FOUND'])
    expect(await outcome('PUT', target, session())).toEqual([400, 'M_MISSING_PARAM'])
    // The old version can still be read, and emptied.
    expect(await getKey(alice, first, 'session')).toEqual(session())
    expect(await alice.expect('DELETE', target, undefined, { query: { version: first } })).toEqual({ etag: '2', count: 0 }) // prettier-ignore
  })

  it('are counted right when many are put at once', async () => {
    const version = await newVersion(alice)
    await Promise.all(Array.from({ length: 24 }, (_, number) => putKey(alice, version, `s${number % 12}`)))
    expect(await alice.get('/room_keys/version')).toMatchObject({ etag: '12', count: 12 })
  })

  const spoilt: [string, string, JsonObject][] = [
    ['without session_data', 'M_BAD_JSON', { first_message_index: 0, forwarded_count: 0, is_verified: true }],
    ['with text as session_data', 'M_BAD_JSON', { ...session(), session_data: 'x' }],
    ['with text as is_verified', 'M_BAD_JSON', { ...session(), is_verified: 'true' }],
    ['with text as an index', 'M_BAD_JSON', { ...session(), first_message_index: '1' }],
    ['with a fraction as an index', 'M_INVALID_PARAM', { ...session(), first_message_index: 1.5 }],
    ['with a count below zero', 'M_INVALID_PARAM', { ...session(), forwarded_count: -1 }],
    ['with a count beyond all numbers', 'M_INVALID_PARAM', { ...session(), forwarded_count: 2 ** 60 }],
  ]
  it.each(spoilt)('are refused %s, with all that come with them', async (_name, errcode, bad) => {
    const version = await newVersion(alice)
    const sessions = { good: session(), bad }
    expect(await outcome('PUT', path`/room_keys/keys/${room}`, { sessions }, { version })).toEqual([400, errcode])
    expect(await alice.get('/room_keys/version')).toMatchObject({ etag: '0', count: 0 })
  })

  it('are refused for what is no room or no session', async () => {
    const query = { version: await newVersion(alice) }
    const put = (body: JsonObject) => outcome('PUT', '/room_keys/keys', body, query)
    expect(await put({ rooms: { room: { sessions: {} } } })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await put({ rooms: { [room]: {} } })).toEqual([400, 'M_BAD_JSON'])
    expect(await put({ rooms: { [room]: { sessions: { '': session() } } } })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await put({ rooms: { [room]: { sessions: { 'a\0': session() } } } })).toEqual([400, 'M_INVALID_PARAM'])
    expect(await outcome('PUT', path`/room_keys/keys/${room}/${'a\0'}`, session(), query)).toEqual([400, 'M_INVALID_PARAM']) // prettier-ignore
    expect((await outcome('GET', path`/room_keys/keys/${room}/${'a\0'}`, undefined, query))[0]).not.toBe(500)
  })

  it('may come as sixteen mebibytes in one piece', async () => {
    const query = { version: await newVersion(alice) }
    const large = { ...session(), session_data: { ciphertext: 'c'.repeat(60 * 1024) } }
    const sessions = Object.fromEntries(Array.from({ length: 250 }, (_, number) => [`s${number}`, large]))
    expect(await alice.expect('PUT', path`/room_keys/keys/${room}`, { sessions }, { query })).toMatchObject({
      count: 250,
    })
    const tooMany = Object.fromEntries(Array.from({ length: 300 }, (_, number) => [`s${number}`, large]))
    expect(await outcome('PUT', path`/room_keys/keys/${room}`, { sessions: tooMany }, query)).toEqual([
      413,
      'M_TOO_LARGE',
    ])
  })
})
