import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { routes } from '../../src/api/routes.ts'
import { type Endpoint } from '../../src/http/endpoint.ts'
import { type UserId } from '../../src/protocol/identifiers.ts'
import { registerAdmin } from '../admin/people.ts'
import { type Exchange, exchange } from '../harness/exchange.ts'
import { type Person } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { loadSpec } from '../harness/spec.ts'
import { fillPath, parameterNames, type PathValues, sampleBody, sampleQuery } from './samples.ts'
import { errcodeOf, makeWorld, withDatabase, type World } from './world.ts'

const spec = loadSpec()
let server: TestServer
let world: World

beforeAll(async () => {
  server = await startTestServer()
  world = await makeWorld(server)
})

afterAll(() => server.close())

const nameOf = (endpoint: Endpoint) => `${endpoint.method} ${endpoint.paths[0] ?? ''}`

function call(endpoint: Endpoint, values: PathValues, token: string | undefined): Promise<Exchange> {
  const [path = ''] = endpoint.paths
  const body = endpoint.takesStream ? 'bytes' : (sampleBody(endpoint, spec) ?? undefined)
  return exchange(server.url, {
    method: endpoint.method,
    target: fillPath(path, values) + sampleQuery(endpoint),
    token,
    body,
  })
}

const withToken = routes.filter(({ auth }) => auth === 'user' || auth === 'guest' || auth === 'admin')
const byName = (endpoints: readonly Endpoint[]) => endpoints.map(endpoint => [nameOf(endpoint), endpoint] as const)

describe('an endpoint that needs to know who is calling', () => {
  it.each(byName(withToken))('refuses nobody and strangers: %s', async (_, endpoint) => {
    const nobody = await call(endpoint, world.hers, undefined)
    expect([nobody.status, errcodeOf(nobody.json)]).toEqual([401, 'M_MISSING_TOKEN'])
    for (const token of ['x', `${world.alice.accessToken.slice(0, -1)}`, '%00']) {
      const stranger = await call(endpoint, world.hers, token)
      expect([stranger.status, errcodeOf(stranger.json)]).toEqual([401, 'M_UNKNOWN_TOKEN'])
    }
  })

  it.each(byName(routes.filter(({ auth }) => auth === 'optional')))(
    'wants a good token or none: %s',
    async (_, endpoint) => {
      const stranger = await call(endpoint, world.hers, 'x')
      expect([stranger.status, errcodeOf(stranger.json)]).toEqual([401, 'M_UNKNOWN_TOKEN'])
    },
  )

  it.each(byName(routes.filter(({ auth }) => auth === 'user')))('refuses guests: %s', async (_, endpoint) => {
    const guest = await call(endpoint, world.hers, world.guest.accessToken)
    expect([guest.status, errcodeOf(guest.json)]).toEqual([403, 'M_GUEST_ACCESS_FORBIDDEN'])
  })

  it('refuses all but administrators where only they may', async () => {
    for (const endpoint of routes.filter(({ auth }) => auth === 'admin')) {
      const ordinary = await call(endpoint, world.hers, world.alice.accessToken)
      expect([nameOf(endpoint), ordinary.status, errcodeOf(ordinary.json)]).toEqual([
        nameOf(endpoint),
        403,
        'M_FORBIDDEN',
      ])
    }
  })
})

describe('an administrator who is one no longer', () => {
  const forAdmins = routes.filter(({ auth }) => auth === 'admin')

  /** An administrator with a token that was good until something was set. */
  async function fallen(name: string, set: string): Promise<Person> {
    const person = await registerAdmin(server, name)
    await withDatabase(server, client =>
      client.query(
        `UPDATE accounts SET ${set} FROM users WHERE users.user_number = accounts.user_number AND user_id = $1`,
        [person.userId],
      ),
    )
    // The server remembers sessions until it is told.
    await server.ctx.log.post([{ kind: 'session', userId: person.userId as UserId }])
    return person
  }

  it.each([
    ['locked', 'is_locked = true', 401, 'M_USER_LOCKED'],
    ['suspended', 'is_suspended = true', 403, 'M_USER_SUSPENDED'],
    ['demoted', 'is_admin = false', 403, 'M_FORBIDDEN'],
  ] as const)('is refused everywhere: %s', async (name, set, status, errcode) => {
    const person = await fallen(name, set)
    for (const endpoint of forAdmins) {
      const done = await call(endpoint, world.hers, person.accessToken)
      expect([nameOf(endpoint), done.status, errcodeOf(done.json)]).toEqual([nameOf(endpoint), status, errcode])
    }
  })

  it('is refused everywhere: deactivated', async () => {
    const person = await registerAdmin(server, 'deactivated')
    await world.admin.post(`/_synapse/admin/v1/deactivate/${encodeURIComponent(person.userId)}`)
    for (const endpoint of forAdmins) {
      const done = await call(endpoint, world.hers, person.accessToken)
      expect([nameOf(endpoint), done.status, errcodeOf(done.json)]).toEqual([nameOf(endpoint), 401, 'M_UNKNOWN_TOKEN'])
    }
    expect(forAdmins.length).toBeGreaterThan(80)
  })
})

/** Endpoints about another user that anybody may call: what they tell is meant for everybody, or is about the caller. */
const aboutOthers = new Set([
  'GET /_matrix/client/v3/profile/:userId',
  'GET /_matrix/client/v3/profile/:userId/:keyName',
  'GET /_matrix/client/v3/presence/:userId/status',
  'POST /_matrix/client/v3/users/:userId/report',
])

describe('an endpoint for one’s own things', () => {
  const own = withToken.filter(
    endpoint => parameterNames(endpoint.paths[0] ?? '').includes('userId') && !aboutOthers.has(nameOf(endpoint)),
  )

  it.each(byName(own))('refuses another user: %s', async (_, endpoint) => {
    const other = await call(endpoint, world.hers, world.mallory.accessToken)
    expect([other.status, errcodeOf(other.json)]).toEqual([403, 'M_FORBIDDEN'])
  })
})

/** Endpoints that answer an outsider about a room in another way than one that does not exist, and why that tells nothing. */
const outsiders: Readonly<Record<string, string>> = {
  'GET /_matrix/client/v3/user/:userId/rooms/:roomId/account_data/:type': 'one’s own notes, about any room',
}

describe('an endpoint for a room', () => {
  const ofRooms = withToken.filter(endpoint => {
    const names = parameterNames(endpoint.paths[0] ?? '')
    const isOnes = names.includes('userId') || (endpoint.paths[0] ?? '').includes('/room_keys/')
    return (names.includes('roomId') || names.includes('roomIdOrAlias')) && !isOnes && !(nameOf(endpoint) in outsiders)
  })

  it.each(byName(ofRooms))('tells an outsider the same whether the room exists or not: %s', async (_, endpoint) => {
    const { mallory, hers } = world
    const present = hers['roomId'] ?? ''
    // Of the same form, version and length as the one that exists.
    const absent = `!${[...present.slice(1)].reverse().join('')}`
    const toClosed = await call(endpoint, hers, mallory.accessToken)
    const toAbsent = await call(
      endpoint,
      { ...hers, roomId: absent, roomIdOrAlias: absent, eventId: `$${'A'.repeat(43)}` },
      mallory.accessToken,
    )
    // 400: forgetting a room that one is in, or never was in.
    expect([400, 403, 404]).toContain(toClosed.status)
    expect([toAbsent.status, toAbsent.json]).toEqual([toClosed.status, toClosed.json])
  })
})
