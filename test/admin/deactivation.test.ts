import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { goesWithAccount } from '../../src/privacy/deactivate.ts'
import { eraseAll } from '../../src/privacy/eraser.ts'
import { inventory, type TableEntry } from '../../src/privacy/inventory.ts'
import { type UserId } from '../../src/protocol/identifiers.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { countOwnRows } from '../../src/storage/own-rows.ts'
import { exchange } from '../harness/exchange.ts'
import { path, type Person, register, text } from '../harness/people.ts'
import { tablesThatHold } from '../harness/scan.ts'
import { plainly, startTestServer, type TestServer } from '../harness/server.ts'
import { canaries, live } from '../promises/scene.ts'
import { registerAdmin } from './people.ts'

const deactivate = (userId: string) => path`/_synapse/admin/v1/deactivate/${userId}`

/** The tables in which something of a user stands. */
async function tablesOf(server: TestServer, userId: string): Promise<string[]> {
  // Registering answered with it.
  const owner = { userId: userId as UserId, userNumber: await server.ctx.numbers.user(userId as UserId) }
  const found: string[] = []
  for (const [table, { ways }] of Object.entries(inventory) as [keyof typeof inventory, TableEntry][]) {
    if (ways && (await countOwnRows(server.ctx.db.kysely, inventory, table, owner)) > 0) found.push(table)
  }
  return found
}

describe('an account that an administrator deactivates', () => {
  let server: TestServer
  let admin: Person

  beforeAll(async () => {
    server = await startTestServer({ loops: [], settings: plainly })
    admin = await registerAdmin(server, 'root')
  })
  afterAll(() => server.close())

  it('loses everything that erasing would delete, but for what the inventory keeps for a reason', async () => {
    const [alice, bob] = [await register(server, 'alice'), await register(server, 'bob')]
    const { room } = await live(server, alice, bob)
    await alice.post(path`/rooms/${room}/report`, { reason: 'rude' })
    const before = await tablesOf(server, alice.userId)
    expect(await admin.post(deactivate(alice.userId))).toEqual({ id_server_unbind_result: 'success' })
    const after = await tablesOf(server, alice.userId)
    const going = Object.entries(inventory).flatMap(([table, entry]) => (goesWithAccount(entry) ? [table] : []))
    expect(before.filter(table => going.includes(table))).toEqual(
      expect.arrayContaining(['devices', 'access_tokens', 'profiles', 'account_data', 'filters', 'key_backups']),
    )
    expect(after.filter(table => going.includes(table))).toEqual([])
    expect(after).toEqual(expect.arrayContaining(['events', 'media', 'receipts', 'reports', 'event_relations']))
    const { device, accountData, profile, filter } = canaries
    expect(await tablesThatHold(server.ctx.db, { device, accountData, profile, filter })).toEqual({})
    // Nothing of what was said is touched.
    expect(Object.keys(await tablesThatHold(server.ctx.db, { body: canaries.body }))).toEqual(['body'])
  })

  it('is erased when that is asked for, and whose it was can be given the receipt', async () => {
    const [alice, bob] = [await register(server, 'erased'), await register(server, 'witness')]
    const canary = 'a canary to erase'
    const room = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(room)
    await alice.send(room, canary)
    const receipt = text(await admin.post(deactivate(alice.userId), { erase: true }), 'org.lethe.receipt')
    expect(await eraseAll(server.ctx)).toBe(1)
    expect(await tablesThatHold(server.ctx.db, { canary })).toEqual({})
    const page = await exchange(server.url, { method: 'GET', target: receipt })
    expect(page.bytes.toString()).toContain('Your account is erased')
    expect(await admin.get(path`/_synapse/admin/v2/users/${alice.userId}`)).toMatchObject({ erased: true })
  })

  it('can still be erased later, once', async () => {
    const user = await register(server)
    const canary = 'said before going'
    const room = await user.createRoom()
    await user.send(room, canary)
    await admin.post(deactivate(user.userId))
    expect(await tablesThatHold(server.ctx.db, { canary })).toEqual({ canary: ['events'] })
    expect(await admin.post(deactivate(user.userId), { erase: true })).toHaveProperty(['org.lethe.receipt'])
    await eraseAll(server.ctx)
    expect(await tablesThatHold(server.ctx.db, { canary })).toEqual({})
    expect(await admin.post(deactivate(user.userId), { erase: true })).toEqual({ id_server_unbind_result: 'success' })
  })
})

describe('the key of a deactivated account', () => {
  it('is destroyed with the next sweep, and nobody else’s', async () => {
    const server = await startTestServer({ loops: [] })
    const admin = await registerAdmin(server)
    const [gone, here] = [await register(server), await register(server)]
    for (const person of [gone, here]) {
      await person.put(path`/user/${person.userId}/account_data/org.example`, { note: 'mine' })
    }
    const room = await here.createRoom({ preset: 'public_chat' })
    await gone.join(room)
    const said = await gone.send(room, 'this stays')
    const keyOf = async ({ userId }: Person) => {
      const { sealer, user } = server.ctx.numbers
      return sealer.keyAt(sealer.accountPlace(await user.call(server.ctx.numbers, userId as UserId)))
    }
    await admin.post(deactivate(gone.userId))
    await sweep(server.ctx)
    expect([await keyOf(gone), await keyOf(here)]).toEqual([null, expect.any(Buffer)])
    // What they said is sealed under keys of its own; and nothing that names them fails for want of theirs.
    expect(await here.get(path`/rooms/${room}/event/${said}`)).toMatchObject({ content: { body: 'this stays' } })
    expect((await here.request('POST', path`/rooms/${room}/invite`, { user_id: gone.userId })).status).toBeLessThan(500)
    expect((await admin.request('PUT', path`/_synapse/admin/v2/users/${gone.userId}`, { deactivated: true })).status).toBe(200) // prettier-ignore
    await server.close()
  })
})
