import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { MatrixError } from '../../src/errors.ts'
import { type RoomId, type UserId } from '../../src/protocol/identifiers.ts'
import { aliasGuards } from '../../src/rooms/aliases.ts'
import { roomHead } from '../../src/rooms/head.ts'
import { restrictedJoin, roomsThatLetIn } from '../../src/rooms/restricted.ts'
import { path, type Person, register } from '../harness/people.ts'
import { answerOf } from '../harness/refusal.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
let alice: Person
let bob: Person
let lobby: string
beforeAll(async () => {
  server = await startTestServer()
  alice = await register(server)
  bob = await register(server)
  lobby = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(lobby)
})
afterAll(() => server.close())

/** What a room with these join rules says to bob. */
async function verdict(allow: unknown[], more: Parameters<Person['createRoom']>[0] = {}): Promise<unknown> {
  const rules = { type: 'm.room.join_rules', content: { join_rule: 'restricted', allow: allow as never } }
  const room = await alice.createRoom({ initial_state: [rules], ...more })
  // The server's own room IDs are room IDs.
  const head = await roomHead(server.ctx, room as RoomId)
  return head && restrictedJoin(server.ctx, head, bob.userId as UserId)
}

const membersOf = (room: string) => ({ type: 'm.room_membership', room_id: room })

describe('a restricted room', () => {
  it('lets in who is in one of its rooms, vouched for by a local member with the power', async () => {
    expect(await verdict([membersOf('!unknown:lethe.test'), membersOf(lobby)])).toEqual({
      kind: 'granted',
      authorisedBy: alice.userId,
    })
  })

  it('tells apart what it cannot know, what is not so, and what it may not grant', async () => {
    expect(await verdict([membersOf('!unknown:elsewhere.test')])).toEqual({ kind: 'cannot_tell' })
    expect(await verdict([membersOf(await alice.createRoom())])).toEqual({ kind: 'refused' })
    expect(await verdict([])).toEqual({ kind: 'refused' })
    const quiet = { room_version: '11', power_level_content_override: { invite: 101 } }
    expect(await verdict([membersOf(lobby)], quiet)).toEqual({ kind: 'cannot_grant' })
    expect(await verdict([membersOf(lobby)], { room_version: '7' })).toEqual({ kind: 'not_asked' })
  })

  it('asks nothing of one who is banned or invited: the rules decide', async () => {
    const rules = { type: 'm.room.join_rules', content: { join_rule: 'restricted', allow: [membersOf(lobby)] } }
    const room = await alice.createRoom({ initial_state: [rules] })
    const asked = async () => {
      const head = await roomHead(server.ctx, room as RoomId)
      return head && (await restrictedJoin(server.ctx, head, bob.userId as UserId))?.kind
    }
    expect(await asked()).toBe('granted')
    await alice.ban(room, bob.userId)
    expect(await asked()).toBe('not_asked')
    expect(await answerOf(bob, 'POST', path`/join/${room}`, {})).toEqual([403, 'M_FORBIDDEN'])
    await alice.unban(room, bob.userId)
    await alice.invite(room, bob.userId)
    expect(await asked()).toBe('not_asked')
  })

  it('understands no conditions but memberships', () => {
    expect(
      roomsThatLetIn({ allow: [{ type: 'org.example', room_id: lobby }, 7, { type: 'm.room_membership' }] }),
    ).toEqual([])
    expect(roomsThatLetIn({ allow: 'everybody' })).toEqual([])
    expect(roomsThatLetIn(undefined)).toEqual([])
    expect(roomsThatLetIn({ allow: Array.from({ length: 500 }, () => membersOf(lobby)) })).toHaveLength(100)
  })
})

describe('an alias that somebody has reserved', () => {
  it('is refused by the guard, for a new room too', async () => {
    const guard = (_actor: unknown, alias: string) => {
      if (alias.startsWith('#_irc_')) throw new MatrixError('M_EXCLUSIVE', 'That alias is reserved')
    }
    aliasGuards(server.ctx).add(guard)
    const reserved = path`/directory/room/${'#_irc_lobby:lethe.test'}`
    expect(await answerOf(alice, 'PUT', reserved, { room_id: lobby })).toEqual([400, 'M_EXCLUSIVE'])
    expect(await answerOf(alice, 'POST', '/createRoom', { room_alias_name: '_irc_x' })).toEqual([400, 'M_EXCLUSIVE'])
    aliasGuards(server.ctx).delete(guard)
    expect(await answerOf(alice, 'PUT', reserved, { room_id: lobby })).toEqual([200, null])
  })
})
