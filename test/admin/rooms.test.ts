import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { at, objectsAt, path, type Person, register, text } from '../harness/people.ts'
import { errcodeOf, withDatabase } from '../house/world.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { untilEnded } from './jobs.ts'
import { registerAdmin } from './people.ts'

let server: TestServer
let admin: Person

beforeAll(async () => {
  server = await startTestServer()
  admin = await registerAdmin(server, 'root')
})
afterAll(() => server.close())

const v1 = (rest: string) => `/_synapse/admin/v1${rest}`
const v2 = (rest: string) => `/_synapse/admin/v2${rest}`

describe('the list of rooms', () => {
  it('has every room, in the fields that tools read, sorted and in pages', async () => {
    const own = await startTestServer()
    const root = await registerAdmin(own)
    const user = await register(own)
    const b = await user.createRoom({
      name: 'B room',
      preset: 'public_chat',
      visibility: 'public',
      room_alias_name: 'bee',
    })
    const a = await user.createRoom({ name: 'a room' })
    await root.join(b)
    const list = (query: Record<string, string | number | boolean>) => root.get(v1('/rooms'), query)
    const ids = async (query: Record<string, string | number | boolean>) =>
      objectsAt(await list(query), 'rooms').map(room => room['room_id'])
    expect(at(await list({}), 'rooms', 0)).toMatchObject({
      room_id: b,
      name: 'B room',
      canonical_alias: '#bee:lethe.test',
      joined_members: 2,
      joined_local_members: 2,
      creator: user.userId,
      encryption: null,
      federatable: true,
      public: true,
      join_rules: 'public',
      history_visibility: 'shared',
      room_type: null,
    })
    expect(await ids({})).toEqual([b, a])
    expect(await ids({ dir: 'b' })).toEqual([a, b])
    expect(await ids({ order_by: 'joined_members' })).toEqual([b, a])
    expect(await ids({ search_term: 'BEE' })).toEqual([b])
    expect(await ids({ search_term: a })).toEqual([a])
    expect(await ids({ public_rooms: false })).toEqual([a])
    expect(await ids({ empty_rooms: true })).toEqual([])
    const first = await list({ limit: 1 })
    expect(first).toMatchObject({ offset: 0, total_rooms: 2, next_batch: 1 })
    expect(first).not.toHaveProperty('prev_batch')
    const second = await list({ limit: 1, from: 1 })
    expect(second).toMatchObject({ offset: 1, total_rooms: 2, prev_batch: 0 })
    expect(second).not.toHaveProperty('next_batch')
    expect(await list({ limit: 0 })).toMatchObject({ rooms: [], total_rooms: 2 })
    expect((await root.request('GET', v1('/rooms?order_by=colour'))).status).toBe(400)
    expect((await root.request('GET', v1('/rooms?search_term='))).status).toBe(400)
    await own.close()
  })
})

describe('a room', () => {
  it('is shown with its members and counts', async () => {
    const user = await register(server)
    const room = await user.createRoom({ name: 'Shown', topic: 'of this' })
    expect(await admin.get(v1(path`/rooms/${room}`))).toMatchObject({
      room_id: room, name: 'Shown', topic: 'of this', joined_local_devices: 1, forgotten: false, tombstoned: false,
    }) // prettier-ignore
    expect(await admin.get(v1(path`/rooms/${room}/members`))).toEqual({ members: [user.userId], total: 1 })
    // Some tools do not encode what they put in.
    expect(await admin.get(v1(`/rooms/${room}/members`))).toMatchObject({ total: 1 })
    expect((await admin.request('GET', v1('/rooms/!none:lethe.test'))).status).toBe(404)
  })

  it('keeps its content from administrators unless the operator allows it', async () => {
    const user = await register(server)
    const room = await user.createRoom()
    const eventId = await user.send(room, 'secret')
    for (const rest of [path`/rooms/${room}/messages`, path`/rooms/${room}/state`, path`/fetch_event/${eventId}`]) {
      expect([rest, errcodeOf((await admin.request('GET', v1(rest))).json)]).toEqual([rest, 'M_FORBIDDEN'])
    }
  })

  it('shows its content where the operator allows it, in pages, and what has expired to nobody', async () => {
    const open = await startTestServer({ settings: { admin: { content_access: true } } })
    const root = await registerAdmin(open)
    const user = await register(open)
    const room = await user.createRoom()
    await user.setState(room, 'm.room.retention', { max_lifetime: 60_000 })
    const sent = [await user.send(room, 'one'), await user.send(room, 'two')]
    const ids = (answer: JsonObject) => objectsAt(answer, 'chunk').map(event => event['event_id'])
    const page = await root.get(v1(path`/rooms/${room}/messages`), { dir: 'b', limit: 1 })
    expect(ids(page)).toEqual([sent[1]])
    const next = await root.get(v1(path`/rooms/${room}/messages`), { dir: 'b', limit: 1, from: text(page, 'end') })
    expect(ids(next)).toEqual([sent[0]])
    expect(at(await root.get(v1(path`/fetch_event/${sent[0] ?? ''}`)), 'event', 'content', 'body')).toBe('one')
    const state = objectsAt(await root.get(v1(path`/rooms/${room}/state`)), 'state').map(event => event['type'])
    expect(state).toContain('m.room.create')
    await open.clock.advance(61_000)
    expect((await root.request('GET', v1(path`/fetch_event/${sent[0] ?? ''}`))).status).toBe(404)
    expect(ids(await root.get(v1(path`/rooms/${room}/messages`), { dir: 'b', limit: 2 }))).toEqual([])
    await open.close()
  })

  it('is blocked: nobody can enter or be invited until it is let go', async () => {
    const [owner, user] = [await register(server), await register(server)]
    const room = await owner.createRoom({ preset: 'public_chat' })
    const block = v1(path`/rooms/${room}/block`)
    expect(await admin.get(block)).toEqual({ block: false })
    expect(await admin.put(block, { block: true })).toEqual({ block: true })
    expect(await admin.get(block)).toEqual({ block: true, user_id: admin.userId })
    expect((await user.request('POST', path`/join/${room}`, {})).status).toBe(403)
    expect((await owner.request('POST', path`/rooms/${room}/invite`, { user_id: user.userId })).status).toBe(403)
    await admin.put(block, { block: false })
    await user.join(room)
  })

  it('gets somebody to join it, invited by an administrator who is in it', async () => {
    const [owner, user] = [await register(server), await register(server)]
    const open = await owner.createRoom({ preset: 'public_chat', room_alias_name: 'open' })
    const body = { user_id: user.userId }
    expect(await admin.post(v1(path`/join/${'#open:lethe.test'}`), body)).toEqual({ room_id: open })
    const closed = await owner.createRoom()
    expect((await admin.request('POST', v1(path`/join/${closed}`), body)).status).toBe(403)
    await owner.invite(closed, admin.userId)
    await admin.join(closed)
    expect(await admin.post(v1(path`/join/${closed}`), body)).toEqual({ room_id: closed })
    expect((await admin.request('POST', v1(path`/join/${'#none:lethe.test'}`), body)).status).toBe(404)
  })

  it.each(['10', '12'])('gets an administrator of its own where it has lost them, in version %s', async version => {
    const [owner, user] = [await register(server), await register(server)]
    const room = await owner.createRoom({ room_version: version })
    const target = v1(path`/rooms/${room}/make_room_admin`)
    expect(await admin.post(target, { user_id: user.userId })).toEqual({})
    await user.join(room)
    await user.setState(room, 'm.room.name', { name: 'Mine now' })
    expect(at(await owner.state(room, 'm.room.power_levels'), 'users', user.userId)).toBe(100)
    const alone = await register(server)
    const left = await alone.createRoom()
    await alone.leave(left)
    expect((await admin.request('POST', v1(path`/rooms/${left}/make_room_admin`), {})).status).toBe(400)
  })
})

describe('the deletion of a room', () => {
  const remove = async (room: string, body: JsonObject = {}) => {
    const deleteId = text(await admin.delete(v2(path`/rooms/${room}`), body), 'delete_id')
    return untilEnded(() => admin.get(v2(path`/rooms/delete_status/${deleteId}`)))
  }

  it('lets everybody leave and leaves no row behind', async () => {
    const [owner, member] = [await register(server), await register(server)]
    const room = await owner.createRoom({ preset: 'public_chat', room_alias_name: 'doomed' })
    await member.join(room)
    const sent = await member.send(room, 'soon gone')
    await owner.acknowledge(room, sent)
    await owner.put(path`/user/${owner.userId}/rooms/${room}/account_data/org.example`, {})
    const since = await owner.now()
    const { roomNumber } = (await server.ctx.numbers.room(room as never)) ?? { roomNumber: 0 }
    expect(await remove(room)).toMatchObject({
      status: 'complete',
      shutdown_room: {
        kicked_users: expect.arrayContaining([owner.userId, member.userId]) as unknown,
        failed_to_kick_users: [],
        local_aliases: ['#doomed:lethe.test'],
        new_room_id: null,
      },
    })
    const left = await withDatabase(server, async client => {
      const tables = await client.query<{ name: string; col: string }>(
        `SELECT table_name AS name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'room_number'`,
      )
      const counts: [string, number][] = []
      for (const { name } of tables.rows) {
        const where = name === 'log' ? `room_number = ${roomNumber} AND kind = 1` : `room_number = ${roomNumber}`
        const { rows } = await client.query<{ count: string }>(`SELECT count(*) FROM ${name} WHERE ${where}`)
        counts.push([name, Number(rows[0]?.count)])
      }
      return counts.filter(([, count]) => count > 0)
    })
    expect(left).toEqual([])
    expect((await admin.request('GET', v1(path`/rooms/${room}`))).status).toBe(404)
    expect((await member.request('GET', path`/directory/room/${'#doomed:lethe.test'}`)).status).toBe(404)
    expect((await member.request('POST', path`/join/${room}`, {})).status).toBe(403)
    // Those who were in it go on.
    await owner.sync({ since })
    await member.sync()
    expect(await member.get('/joined_rooms')).toEqual({ joined_rooms: [] })
    expect(objectsAt(await admin.get(v2(path`/rooms/${room}/delete_status`)), 'results')).toHaveLength(1)
    expect(await admin.get(v1(path`/rooms/${room}/block`))).toEqual({ block: false })
  })

  it('can leave the rows, block the room, and move everybody into another', async () => {
    const [owner, member] = [await register(server), await register(server)]
    const room = await owner.createRoom({ preset: 'public_chat', room_alias_name: 'moved' })
    await member.join(room)
    const done = await remove(room, {
      block: true,
      purge: false,
      new_room_user_id: admin.userId,
      room_name: 'Instead',
      message: 'Closed',
    })
    const instead = text(at(done, 'shutdown_room') as JsonObject, 'new_room_id')
    expect(await member.get('/joined_rooms')).toEqual({ joined_rooms: [instead] })
    expect(await member.state(instead, 'm.room.name')).toEqual({ name: 'Instead' })
    expect(text(await member.get(path`/directory/room/${'#moved:lethe.test'}`), 'room_id')).toBe(instead)
    expect((await member.request('PUT', path`/rooms/${instead}/send/m.room.message/1`, { msgtype: 'm.text', body: 'no' })).status).toBe(403) // prettier-ignore
    expect(await admin.get(v1(path`/rooms/${room}`))).toMatchObject({ joined_members: 0 })
    expect(await admin.get(v1(path`/rooms/${room}/block`))).toMatchObject({ block: true })
  })

  it('is refused for what is unknown or wrong', async () => {
    const room = await admin.createRoom()
    expect((await admin.request('DELETE', v2('/rooms/!none:lethe.test'), {})).status).toBe(404)
    expect((await admin.request('DELETE', v2(path`/rooms/${room}`), { new_room_user_id: 'x' })).status).toBe(400)
    // Only the other version may block a room that is unknown, and what is refused does nothing.
    expect((await admin.request('DELETE', v2('/rooms/!none:lethe.test'), { block: true })).status).toBe(404)
    expect(await admin.get(v1('/rooms/!none:lethe.test/block'))).toEqual({ block: false })
    expect((await admin.request('GET', v2('/rooms/delete_status/none'))).status).toBe(404)
    expect((await admin.request('GET', v2(path`/rooms/${room}/delete_status`))).status).toBe(404)
  })

  it('stands among the tasks', async () => {
    const room = await admin.createRoom()
    const ordered = server.clock.now()
    const { delete_id: id } = await remove(room)
    const tasks = async (query: Record<string, string | number>) =>
      objectsAt(await admin.get(v1('/scheduled_tasks'), query), 'scheduled_tasks').filter(task => task['id'] === id)
    expect(await tasks({ resource_id: room })).toMatchObject([
      { action: 'delete_room', status: 'complete', resource_id: room, error: null },
    ])
    for (const query of [
      { status: 'complete' },
      { action_name: 'delete_room' },
      { max_timestamp: server.clock.now() },
    ]) {
      expect([query, await tasks(query)]).toMatchObject([query, [{ id }]])
    }
    for (const query of [
      { status: 'failed' },
      { status: 'cancelled' },
      { job_status: 'active' },
      { action_name: 'purge_history' },
      { max_timestamp: ordered - 1 },
    ]) {
      // prettier-ignore
      expect([query, await tasks(query)]).toEqual([query, []])
    }
    expect((await admin.request('GET', v1('/scheduled_tasks?status=lost'))).status).toBe(400)
  })
})

describe('the purge of a room’s history', () => {
  const purge = async (target: string, body: JsonObject) => {
    const purgeId = text(await admin.post(v1(target), body), 'purge_id')
    return untilEnded(() => admin.get(v1(path`/purge_history_status/${purgeId}`)))
  }

  it('deletes the messages before an event, local ones only when told', async () => {
    const user = await register(server)
    const room = await user.createRoom()
    const sent: string[] = []
    const since = await user.now()
    for (let count = 0; count < 4; count++) sent.push(await user.send(room, `m${count}`))
    const target = path`/purge_history/${room}/${sent[2] ?? ''}`
    const shown = async () =>
      objectsAt(await user.messages(room), 'chunk').filter(event => event['type'] === 'm.room.message').length
    expect(await purge(target, {})).toEqual({ status: 'complete' })
    expect(await shown()).toBe(4)
    await purge(target, { delete_local_events: true })
    expect(await shown()).toBe(2)
    // Nor is it told from memory to whoever has not synced since.
    expect(JSON.stringify(await user.sync({ since }))).not.toContain('"m0"')
    expect((await user.request('GET', path`/rooms/${room}/event/${sent[0] ?? ''}`)).status).toBe(404)
    await user.state(room, 'm.room.create')
    await user.send(room, 'still going')
  })

  it('deletes the messages before a time', async () => {
    const user = await register(server)
    const room = await user.createRoom()
    await user.send(room, 'old')
    await server.clock.advance(10_000)
    const kept = await user.send(room, 'new')
    await purge(path`/purge_history/${room}`, { delete_local_events: true, purge_up_to_ts: server.clock.now() })
    const chunk = objectsAt(await user.messages(room), 'chunk').filter(event => event['type'] === 'm.room.message')
    expect(chunk.map(event => event['event_id'])).toEqual([kept])
  })

  it('is refused for what is unknown', async () => {
    const room = await admin.createRoom()
    const status = async (target: string, body: JsonObject) => (await admin.request('POST', v1(target), body)).status
    expect(await status(path`/purge_history/${room}`, {})).toBe(400)
    expect(await status(path`/purge_history/${room}/${`$${'A'.repeat(43)}`}`, {})).toBe(404)
    expect(await status('/purge_history/!none:lethe.test', { purge_up_to_ts: 1 })).toBe(404)
    expect((await admin.request('GET', v1('/purge_history_status/none'))).status).toBe(404)
  })
})

describe('the redaction of a user', () => {
  const redact = async (userId: string, body: JsonObject) => {
    const redactId = text(await admin.post(v1(path`/user/${userId}/redact`), body), 'redact_id')
    return untilEnded(() => admin.get(v1(path`/user/redact_status/${redactId}`)))
  }
  const bodies = async (person: Person, room: string) =>
    objectsAt(await person.messages(room), 'chunk')
      .filter(event => event['type'] === 'm.room.message')
      .map(event => at(event, 'content', 'body'))

  it('prunes what they sent, in all their rooms, in their own name', async () => {
    const [owner, user] = [await register(server), await register(server)]
    const room = await owner.createRoom({ preset: 'public_chat' })
    await user.join(room)
    for (let count = 0; count < 3; count++) await user.send(room, 'spam')
    await owner.send(room, 'not spam')
    expect(await redact(user.userId, { rooms: [], reason: 'spam' })).toEqual({
      status: 'complete',
      failed_redactions: {},
    })
    expect(await bodies(owner, room)).toEqual(['not spam', undefined, undefined, undefined])
  })

  it('goes no further than the limit', async () => {
    const user = await register(server)
    const room = await user.createRoom()
    for (const body of ['1', '2', '3']) await user.send(room, body)
    await redact(user.userId, { rooms: [room], limit: 2 })
    expect(await bodies(user, room)).toEqual([undefined, undefined, '1'])
  })

  it('spares what was sent before or after the times that are given', async () => {
    const user = await register(server)
    const room = await user.createRoom()
    const times: number[] = []
    for (const body of ['before', 'from', 'until', 'after']) {
      await server.clock.advance(1_000)
      times.push(server.clock.now())
      await user.send(room, body)
    }
    await redact(user.userId, { rooms: [room], after_ts: times[1] ?? 0, before_ts: times[2] ?? 0 })
    expect(await bodies(user, room)).toEqual(['after', undefined, undefined, 'before'])
    await redact(user.userId, { rooms: [], after_ts: times[3] ?? 0 })
    expect(await bodies(user, room)).toEqual([undefined, undefined, undefined, 'before'])
    const refused = await admin.request('POST', v1(path`/user/${user.userId}/redact`), {
      rooms: [],
      before_ts: 'today',
    })
    expect(refused.status).toBe(400)
    expect(await bodies(user, room)).toEqual([undefined, undefined, undefined, 'before'])
  })

  it('says what could not be redacted', async () => {
    const [owner, user] = [await register(server), await register(server)]
    const room = await owner.createRoom({ preset: 'public_chat' })
    await user.join(room)
    const sent = await user.send(room, 'stays')
    await user.leave(room)
    const done = await redact(user.userId, { rooms: [room] })
    expect(Object.keys(at(done, 'failed_redactions') as JsonObject)).toEqual([sent])
    await admin.join(room)
    expect(await redact(user.userId, { rooms: [room], use_admin: true })).toMatchObject({ status: 'complete' })
    expect((await admin.request('GET', v1('/user/redact_status/none'))).status).toBe(404)
  })
})
