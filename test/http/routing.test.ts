import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import Type from 'typebox'
import { roomId, string, withDefault } from '../../src/http/decoders.ts'
import { endpoint } from '../../src/http/endpoint.ts'
import { type ExchangeRequest, exchange } from '../harness/exchange.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const echo = (name: string) => (_: unknown, request: { params: object; query: object }) => ({
  name,
  params: { ...request.params },
  query: { ...request.query },
})

const endpoints = [
  endpoint({
    method: 'GET',
    path: '/_matrix/client/v3/rooms/:roomId/state/:eventType/:stateKey',
    aliases: [
      '/_matrix/client/v3/rooms/:roomId/state/:eventType',
      '/_matrix/client/v3/rooms/:roomId/state/:eventType/',
    ],
    auth: 'none',
    limit: 'light',
    params: { roomId, eventType: string, stateKey: withDefault(string, '') },
    handle: echo('read state'),
  }),
  endpoint({
    method: 'PUT',
    path: '/_matrix/client/v3/rooms/:roomId/state/:eventType/:stateKey',
    auth: 'none',
    limit: 'light',
    params: { roomId, eventType: string, stateKey: string },
    body: Type.Object({}),
    handle: echo('write state'),
  }),
  endpoint({
    method: 'GET',
    path: '/_matrix/client/v3/profile/:userId/displayname',
    auth: 'none',
    limit: 'light',
    params: { userId: string },
    handle: echo('display name'),
  }),
  endpoint({
    method: 'PUT',
    path: '/_matrix/client/v3/profile/:userId/:keyName',
    auth: 'none',
    limit: 'light',
    params: { userId: string, keyName: string },
    body: Type.Object({}),
    handle: echo('write profile'),
  }),
  endpoint({
    method: 'GET',
    path: '/_matrix/client/v3/pushrules/',
    aliases: ['/_matrix/client/unstable/org.example.msc1/push(rules)'],
    auth: 'none',
    limit: 'light',
    query: { word: withDefault(string, 'none') },
    handle: echo('push rules'),
  }),
  endpoint({ method: 'POST', path: '/_matrix/client/v3/secret', auth: 'user', limit: 'light', params: {}, query: { word: string }, body: Type.Object({ needed: Type.String() }), handle: echo('secret') }), // prettier-ignore
  endpoint({ method: 'GET', path: '/join/:token', auth: 'none', limit: null, params: { token: string }, handle: echo('page') }), // prettier-ignore
]

describe.each(['front', 'express'] as const)('routing by %s', wayIn => {
  let server: TestServer

  beforeAll(async () => {
    server = await startTestServer({ endpoints, wayIn })
  })

  afterAll(() => server.close())

  const ask = (method: string, target: string, more: Partial<ExchangeRequest> = {}) =>
    exchange(server.url, { method, target, ...more })

  it('decodes each path parameter once', async () => {
    const done = await ask('GET', '/_matrix/client/v3/rooms/!a%2Fb%2525:example.org/state/m.x/k%C3%A9')
    expect(done.json).toMatchObject({
      name: 'read state',
      params: { roomId: '!a/b%25:example.org', eventType: 'm.x', stateKey: 'ké' },
    })
  })

  it('takes an empty state key with and without the slash', async () => {
    for (const path of ['/_matrix/client/v3/rooms/!a:b/state/m.x', '/_matrix/client/v3/rooms/!a:b/state/m.x/']) {
      expect((await ask('GET', path)).json).toMatchObject({ params: { stateKey: '' } })
    }
  })

  it('serves what is under v3 under r0 too', async () => {
    const done = await ask('GET', '/_matrix/client/r0/rooms/!a:b/state/m.x/')
    expect(done.json).toMatchObject({ name: 'read state' })
  })

  it('prefers a literal, and goes back to a parameter for another method', async () => {
    expect((await ask('GET', '/_matrix/client/v3/profile/@a:b/displayname')).json).toMatchObject({
      name: 'display name',
    })
    const written = await ask('PUT', '/_matrix/client/v3/profile/@a:b/displayname', { body: {} })
    expect(written.json).toMatchObject({ name: 'write profile', params: { keyName: 'displayname' } })
  })

  it('reads queries as forms write them', async () => {
    const done = await ask('GET', '/_matrix/client/v3/pushrules/?word=a+b%2Bc&word=second&other')
    expect(done.json).toMatchObject({ query: { word: 'a b+c' } })
  })

  it('takes a literal with characters that mean something to Express', async () => {
    const done = await ask('GET', '/_matrix/client/unstable/org.example.msc1/push(rules)')
    expect(done.json).toMatchObject({ name: 'push rules' })
  })

  it.each([
    ['another case', '/_matrix/client/v3/ROOMS/!a:b/state/m.x/k'],
    ['a slash too many at the end', '/_matrix/client/v3/rooms/!a:b/state/m.x/k/'],
    ['a slash missing at the end', '/_matrix/client/v3/pushrules'],
    ['two slashes', '/_matrix/client/v3/rooms//state/m.x/k'],
    ['an encoded literal', '/%5Fmatrix/client/v3/pushrules/'],
    ['the version alone', '/_matrix/client/v3'],
    ['the root', '/'],
    ['a name of every object', '/_matrix/client/v3/constructor'],
  ])('does not know %s', async (_, path) => {
    const done = await ask('GET', path)
    expect(done.status).toBe(404)
    expect(done.json).toMatchObject({ errcode: 'M_UNRECOGNIZED' })
  })

  it('refuses a method that a path does not have, and names those it has', async () => {
    const done = await ask('DELETE', '/_matrix/client/v3/rooms/!a:b/state/m.x/k')
    expect(done.status).toBe(405)
    expect(done.json).toMatchObject({ errcode: 'M_UNRECOGNIZED' })
    expect(String(done.headers['allow']).split(', ').sort()).toEqual(['GET', 'OPTIONS', 'PUT'])
    expect((await ask('PATCH', '/_matrix/client/v3/pushrules/')).status).toBe(405)
  })

  it('answers preflights on every path', async () => {
    for (const path of ['/_matrix/client/v3/pushrules/', '/_matrix/client/v3/nowhere']) {
      const done = await ask('OPTIONS', path, { headers: { Origin: 'https://app.example.org' } })
      expect(done.status).toBe(204)
      expect(done.headers).toMatchObject({
        'access-control-allow-origin': '*',
        'access-control-allow-methods': 'GET, POST, PUT, DELETE, OPTIONS',
        'access-control-allow-headers': 'X-Requested-With, Content-Type, Authorization',
      })
    }
  })

  it('lets web clients read every answer of an API, refusals included, and no page', async () => {
    for (const path of ['/_matrix/client/v3/pushrules/', '/_matrix/client/v3/nowhere', '/_matrix/client/v3/secret']) {
      expect((await ask('GET', path)).headers).toMatchObject({ 'access-control-allow-origin': '*' })
    }
    expect((await ask('GET', '/join/token')).headers).not.toHaveProperty('access-control-allow-origin')
  })

  it('answers HEAD like GET, without the body', async () => {
    const done = await ask('HEAD', '/_matrix/client/v3/pushrules/')
    expect(done.status).toBe(200)
    expect(done.bytes).toHaveLength(0)
    expect(Number(done.headers['content-length'])).toBeGreaterThan(10)
  })

  it('takes a target with an origin', async () => {
    const done = await ask('GET', 'http://elsewhere.example.org/_matrix/client/v3/pushrules/')
    expect(done.json).toMatchObject({ name: 'push rules' })
  })

  it('asks who is calling before it says what is wrong', async () => {
    for (const target of ['/_matrix/client/v3/secret', '/_matrix/client/v3/secret?word=%zz']) {
      const done = await ask('POST', target, { body: '{' })
      expect(done.status).toBe(401)
      expect(done.json).toMatchObject({ errcode: 'M_MISSING_TOKEN' })
    }
    const done = await ask('POST', '/_matrix/client/v3/secret', { token: 'no-such-token', body: '{' })
    expect(done.json).toMatchObject({ errcode: 'M_UNKNOWN_TOKEN' })
    const byQuery = await ask('POST', '/_matrix/client/v3/secret?access_token=no-such-token')
    expect(byQuery.json).toMatchObject({ errcode: 'M_UNKNOWN_TOKEN' })
  })

  it.each([
    ['a percent sign that encodes nothing', '/_matrix/client/v3/rooms/!a%zz:b/state/m.x/k'],
    ['bytes that are not UTF-8', '/_matrix/client/v3/rooms/!a:b/state/m.x/%ff'],
    ['NUL, which the database cannot keep', '/_matrix/client/v3/rooms/!a:b/state/m.x/%00'],
    ['a query that is badly encoded', '/_matrix/client/v3/pushrules/?word=%e0%a4'],
    ['a parameter of the wrong form', '/_matrix/client/v3/rooms/room/state/m.x/k'],
  ])('refuses %s', async (_, target) => {
    const done = await ask('GET', target)
    expect(done.status).toBe(400)
    expect(done.json).toMatchObject({ errcode: 'M_INVALID_PARAM' })
  })

  it('says nothing of what it is made of', async () => {
    const { headers } = await ask('GET', '/_matrix/client/v3/pushrules/')
    expect(headers).not.toHaveProperty('x-powered-by')
    expect(headers).not.toHaveProperty('etag')
    expect(headers).not.toHaveProperty('server')
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
  })
})

describe('declarations', () => {
  it('refuses two endpoints for one method and path', async () => {
    const [first] = endpoints
    await expect(startTestServer({ endpoints: first ? [first, first] : [] })).rejects.toThrow('declared twice')
  })

  it('refuses an endpoint whose callers nobody can authenticate', async () => {
    const signed = endpoint({ method: 'GET', path: '/_matrix/federation/v1/x', auth: 'server', limit: null, handle: () => ({}) }) // prettier-ignore
    await expect(startTestServer({ endpoints: [signed] })).rejects.toThrow('nobody checks')
  })
})
