import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.close())

describe('people', () => {
  it('register', async () => {
    const alice = await register(server, 'alice')
    expect(alice.userId).toBe('@alice:lethe.test')
    expect(await alice.get('/account/whoami')).toMatchObject({ user_id: alice.userId })
  })
})
