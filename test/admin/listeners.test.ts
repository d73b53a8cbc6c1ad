import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { routes } from '../../src/api/routes.ts'
import { exchange } from '../harness/exchange.ts'
import { type Person } from '../harness/people.ts'
import { errcodeOf } from '../house/world.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { registerAdmin } from './people.ts'

const path = '/_lethe/admin/v1/audit'

describe('a server as it comes', () => {
  let server: TestServer
  let admin: Person

  beforeAll(async () => {
    server = await startTestServer({ settings: { admin: { on_public_listener: false } } })
    admin = await registerAdmin(server)
  })
  afterAll(() => server.close())

  it('does not know on its public listener what is for administrators', async () => {
    expect(server.adminUrl).toBeNull()
    for (const endpoint of routes.filter(({ isPublic }) => !isPublic)) {
      const target = (endpoint.paths[0] ?? '').replace(/:\w+/g, 'x')
      const done = await admin.request(endpoint.method, target)
      expect([target, done.status, errcodeOf(done.json)]).toEqual([target, 404, 'M_UNRECOGNIZED'])
    }
  })

  it('keeps registration by secret where scripts look for it', async () => {
    const open = await startTestServer({
      settings: { admin: { on_public_listener: false }, registration: { shared_secret: 'x' } },
    })
    expect((await exchange(open.url, { method: 'GET', target: '/_synapse/admin/v1/register' })).status).toBe(200)
    await open.close()
  })
})

describe('a server with a listener for administrators', () => {
  let server: TestServer
  let admin: Person

  beforeAll(async () => {
    server = await startTestServer({
      settings: { admin: { on_public_listener: false, listen: { enabled: true, port: 0 } } },
    })
    admin = await registerAdmin(server)
  })
  afterAll(() => server.close())

  const ask = (target: string, token?: string) => exchange(server.adminUrl ?? '', { method: 'GET', target, token })

  it('answers there, and not on the public one', async () => {
    expect((await ask(path, admin.accessToken)).status).toBe(200)
    expect((await admin.request('GET', path)).status).toBe(404)
  })

  it('answers clients there too, so that tools need one address', async () => {
    expect((await ask('/_matrix/client/v3/account/whoami', admin.accessToken)).status).toBe(200)
  })

  it('takes no other spelling of a path', async () => {
    for (const spelt of [
      `${path}/`,
      path.toUpperCase(),
      path.replace('/admin', '//admin'),
      path.replace('admin', 'Admin'),
    ]) {
      expect([spelt, (await ask(spelt, admin.accessToken)).status]).toEqual([spelt, 404])
    }
  })

  it('says its version to anybody', async () => {
    const done = await ask('/_synapse/admin/v1/server_version')
    expect(done.json).toEqual({ server_version: expect.stringMatching(/^Lethe \d+\.\d+\.\d+/) as unknown })
  })
})

describe('every endpoint under an administrators’ path', () => {
  it('is for administrators, but for those that tools need before they sign in', () => {
    const open = routes.filter(({ paths, auth }) => /^\/_(synapse|lethe)\/admin\//.test(paths[0] ?? '') && auth !== 'admin') // prettier-ignore
    expect(open.map(({ method, paths }) => `${method} ${paths[0] ?? ''}`).sort()).toEqual([
      'GET /_synapse/admin/v1/register',
      'GET /_synapse/admin/v1/server_version',
      'POST /_synapse/admin/v1/register',
    ])
  })
})
