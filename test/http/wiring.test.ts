import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { isJsonObject } from '../../src/protocol/json.ts'
import { path, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer

beforeAll(async () => {
  server = await startTestServer()
})

afterAll(() => server.close())

describe('modules that know nothing of each other', () => {
  it('tell the rooms of a new display name', async () => {
    const alice = await register(server)
    const room = await alice.createRoom()
    await alice.put(path`/profile/${alice.userId}/displayname`, { displayname: 'Alice Liddell' })
    const member = await alice.state(room, 'm.room.member', alice.userId)
    expect(member).toMatchObject({ membership: 'join', displayname: 'Alice Liddell' })
  })

  it('take those who deactivate their account out of their rooms', async () => {
    const alice = await register(server)
    const bob = await register(server)
    const room = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(room)
    const asked = await bob.request('POST', '/account/deactivate', {})
    expect(asked.status).toBe(401)
    const session = isJsonObject(asked.json) ? asked.json['session'] : undefined
    await bob.post('/account/deactivate', {
      auth: {
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: bob.userId },
        password: bob.password,
        ...(session === undefined ? {} : { session }),
      },
    })
    expect(await alice.state(room, 'm.room.member', bob.userId)).toMatchObject({ membership: 'leave' })
  })
})
