import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type UserId } from '../../src/protocol/identifiers.ts'
import { leaveAllRooms } from '../../src/rooms/leave-all.ts'
import { propagateProfile } from '../../src/rooms/profile-propagation.ts'
import { putProfileField } from '../../src/storage/profiles.ts'
import { transaction } from '../../src/storage/database.ts'
import { path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
let alice: Person
beforeAll(async () => {
  server = await startTestServer()
  alice = await register(server)
})
afterAll(() => server.close())

// The harness gives user IDs as text; those that the server gave out are user IDs.
const idOf = (person: Person) => person.userId as UserId

const membership = (person: Person, room: string) => alice.state(room, 'm.room.member', person.userId)

describe('a user who goes', () => {
  it('leaves every room, invitation and knock behind, and no ban', async () => {
    const bob = await register(server)
    const joined = await Promise.all(Array.from({ length: 12 }, () => alice.createRoom({ preset: 'public_chat' })))
    for (const room of joined) await bob.join(room)
    const invited = await alice.createRoom({ invite: [bob.userId] })
    const knocked = await alice.createRoom({
      initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }],
    })
    await bob.post(path`/knock/${knocked}`)
    const banned = await alice.createRoom()
    await alice.ban(banned, bob.userId)
    await leaveAllRooms(server.ctx, idOf(bob))
    for (const room of [...joined, invited, knocked])
      expect(await membership(bob, room)).toEqual({ membership: 'leave' })
    expect(await membership(bob, banned)).toEqual({ membership: 'ban' })
    await leaveAllRooms(server.ctx, idOf(bob))
  })
})

describe('a user with a new name', () => {
  it('has it in every room, and nothing happens where they have it already', async () => {
    const bob = await register(server)
    const rooms = [await alice.createRoom({ preset: 'public_chat' }), await alice.createRoom({ preset: 'public_chat' })]
    for (const room of rooms) await bob.join(room)
    const left = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(left)
    await bob.leave(left)
    const userNumber = await server.ctx.numbers.user(idOf(bob))
    await transaction(server.ctx.db, tx =>
      putProfileField(tx, server.ctx.numbers.sealer, userNumber, 'displayname', 'Robert', []),
    )
    await propagateProfile(server.ctx, idOf(bob))
    for (const room of rooms) {
      expect(await membership(bob, room)).toEqual({ membership: 'join', displayname: 'Robert' })
    }
    expect(await membership(bob, left)).toEqual({ membership: 'leave' })
    const head = server.ctx.log.head
    await propagateProfile(server.ctx, idOf(bob))
    expect(server.ctx.log.head).toBe(head)
  })
})

describe('guests', () => {
  it('are removed from a room that stops admitting them', async () => {
    const guest = await register(server)
    const room = await alice.createRoom({ preset: 'private_chat' })
    await alice.setState(room, 'm.room.join_rules', { join_rule: 'public' })
    await server.ctx.log.transact(async (tx, announce) => {
      const userNumber = await server.ctx.numbers.user(idOf(guest))
      await tx.updateTable('accounts').set({ is_guest: true }).where('user_number', '=', userNumber).execute()
      announce({ kind: 'session', userId: idOf(guest) })
    })
    await guest.join(room)
    await alice.setState(room, 'm.room.guest_access', { guest_access: 'forbidden' })
    expect(await membership(guest, room)).toMatchObject({ membership: 'leave' })
    expect((await guest.request('POST', path`/rooms/${room}/join`, {})).status).toBe(403)
  })
})
