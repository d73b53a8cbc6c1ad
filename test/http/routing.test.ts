import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { exchange } from '../harness/exchange.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer

beforeAll(async () => {
  server = await startTestServer()
})

afterAll(() => server.close())

const ask = (method: string, target: string, more: Partial<Parameters<typeof exchange>[1]> = {}) =>
  exchange(server.url, { method, target, ...more })

describe('routing', () => {
  it('answers a path', async () => {
    const done = await ask('GET', '/_matrix/client/versions')
    expect(done.status).toBe(200)
    expect(done.json).toMatchObject({ versions: expect.arrayContaining(['v1.1', 'v1.11']) })
  })
})
