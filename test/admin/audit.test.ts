import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { setFlags } from '../../src/accounts/account.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { objectsAt, type Person, register } from '../harness/people.ts'
import { errcodeOf, withDatabase } from '../house/world.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { registerAdmin } from './people.ts'

const path = '/_lethe/admin/v1/audit'
const dayMs = 86_400_000

let server: TestServer
let admin: Person

beforeAll(async () => {
  server = await startTestServer({ loops: [] })
  admin = await registerAdmin(server, 'root')
})
afterAll(() => server.close())

describe('an endpoint for administrators', () => {
  it('is refused to nobody and to those who are none', async () => {
    const user = await register(server)
    expect((await user.request('GET', path)).status).toBe(403)
    expect((await admin.request('GET', path)).status).toBe(200)
  })

  it.each([
    ['locked', { isLocked: true }, 'M_USER_LOCKED'],
    ['suspended', { isSuspended: true }, 'M_USER_SUSPENDED'],
    ['demoted', { isAdmin: false }, 'M_FORBIDDEN'],
  ] as const)('is refused to one who is %s', async (_, flags, errcode) => {
    const other = await registerAdmin(server)
    expect((await other.request('GET', path)).status).toBe(200)
    const owner = { userId: other.userId as never, userNumber: await server.ctx.numbers.user(other.userId as never) }
    await setFlags(server.ctx, owner, flags)
    expect(errcodeOf((await other.request('GET', path)).json)).toBe(errcode)
  })

  it('is refused to one whose account is deactivated', async () => {
    const other = await registerAdmin(server)
    await other.post('/account/deactivate', {
      auth: {
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: other.userId },
        password: other.password,
      },
    })
    expect(errcodeOf((await other.request('GET', path)).json)).toBe('M_UNKNOWN_TOKEN')
  })
})

describe('the audit', () => {
  it('has every use, by whom, of which endpoint, to the minute', async () => {
    await server.clock.advance(12_345)
    await admin.get(path, { limit: 1 })
    const [use] = objectsAt(await admin.get(path, { limit: 1 }), 'uses')
    expect(use).toMatchObject({ user_id: admin.userId, method: 'GET', endpoint: path, target_hash: null })
    expect(Number(use?.['minute_ts']) % 60_000).toBe(0)
  })

  it('does not have what was refused for lack of rights', async () => {
    const user = await register(server)
    const count = async () => objectsAt(await admin.get(path, { limit: 1000 }), 'uses').length
    const before = await count()
    await user.request('GET', path)
    expect(await count()).toBe(before + 1) // The count itself.
  })

  it('keeps its uses for ninety days', async () => {
    await admin.get(path)
    await server.clock.advance(89 * dayMs)
    await sweep(server.ctx)
    const rows = () =>
      withDatabase(server, async client => (await client.query('SELECT FROM admin_audit')).rowCount ?? 0)
    expect(await rows()).toBeGreaterThan(0)
    await server.clock.advance(2 * dayMs)
    await sweep(server.ctx)
    expect(await rows()).toBe(0)
  })
})
