import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { dataFolder } from '../faults/server-process.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { at, objectsAt, path, type Person, register, text } from '../harness/people.ts'
import { PostgresProxy } from '../harness/postgres-proxy.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { registerAdmin } from './people.ts'

let database: TestDatabase
let folder: Awaited<ReturnType<typeof dataFolder>>
let proxy: PostgresProxy
let server: TestServer
let admin: Person

beforeAll(async () => {
  database = await testDatabase()
  folder = await dataFolder()
  proxy = await PostgresProxy.open(database)
  server = await startTestServer({ on: { database: proxy.database, dataDir: folder.path }, loops: [] })
  admin = await registerAdmin(server, 'root')
})
afterAll(async () => {
  await server?.close()
  await proxy?.close()
  await database?.drop()
  await folder?.remove()
})

const v1 = (rest: string) => `/_synapse/admin/v1${rest}`
const unknownRoom = '!none:lethe.test'

describe('the tree of a space', () => {
  it('is walked depth first, in the order that the space gives, and in pages', async () => {
    const user = await register(server)
    const space = (name: string) => user.createRoom({ name, creation_content: { type: 'm.space' } })
    const [root, sub] = [await space('Root'), await space('Sub')]
    const [a, b, leaf] = [await user.createRoom({ name: 'a' }), await user.createRoom(), await user.createRoom()]
    const child = (parent: string, id: string, order?: string) =>
      user.setState(parent, 'm.space.child', { via: ['lethe.test'], ...(order === undefined ? {} : { order }) }, id)
    await child(root, b)
    await child(root, a, 'x')
    await child(root, sub, 'b')
    await server.clock.advance(1)
    await child(root, '!elsewhere:other.test')
    await child(sub, leaf)
    // A circle ends.
    await child(sub, root)
    await user.setState(root, 'm.space.child', {}, leaf)
    const target = v1(path`/rooms/${root}/hierarchy`)
    const ids = (answer: Parameters<typeof objectsAt>[0]) => objectsAt(answer, 'rooms').map(room => room['room_id'])
    const all = await admin.get(target)
    expect(ids(all)).toEqual([root, sub, leaf, a, b])
    expect(all).not.toHaveProperty('next_batch')
    expect(at(all, 'rooms', 0)).toMatchObject({
      name: 'Root', room_type: 'm.space', num_joined_members: 1, world_readable: false, guest_can_join: true,
      join_rule: 'invite', children_state: [{ state_key: sub }, { state_key: a }, { state_key: b }, { state_key: '!elsewhere:other.test' }],
    }) // prettier-ignore
    expect(ids(await admin.get(target, { max_depth: 1 }))).toEqual([root, sub, a, b])
    const first = await admin.get(target, { limit: 2 })
    expect(ids(first)).toEqual([root, sub])
    expect(ids(await admin.get(target, { limit: 2, from: text(first, 'next_batch') }))).toEqual([leaf, a])
    expect(ids(await admin.get(v1(path`/rooms/${a}/hierarchy`)))).toEqual([a])
    expect((await admin.request('GET', `${target}?from=elsewhere`)).status).toBe(400)
    expect((await admin.request('GET', v1(`/rooms/${unknownRoom}/hierarchy`))).status).toBe(404)
  })

  it('is read by the hundred', async () => {
    const user = await register(server)
    const root = await user.createRoom({ creation_content: { type: 'm.space' } })
    const statementsFor = async (limit: number) => {
      let statements = 0
      proxy.decide = () => (statements++, 'pass')
      const answer = await admin.get(v1(path`/rooms/${root}/hierarchy`), { limit })
      proxy.decide = () => 'pass'
      return { rooms: objectsAt(answer, 'rooms').length, statements }
    }
    for (let count = 0; count < 40; count++) {
      await user.setState(root, 'm.space.child', { via: ['lethe.test'] }, await user.createRoom())
    }
    await user.setState(root, 'm.space.child', { via: ['other.test'] }, '!elsewhere:other.test')
    const few = await statementsFor(5)
    const many = await statementsFor(100)
    expect([few.rooms, many.rooms]).toEqual([5, 41])
    expect(few.statements).toBeGreaterThan(0)
    expect(many.statements).toBe(few.statements)
  }, 30_000)

  it('ends at rooms that are no spaces, whatever stands in them', async () => {
    const user = await register(server)
    const [plain, other] = [await user.createRoom(), await user.createRoom()]
    await user.setState(plain, 'm.space.child', { via: ['lethe.test'] }, other)
    const answer = await admin.get(v1(path`/rooms/${plain}/hierarchy`))
    expect(objectsAt(answer, 'rooms')).toMatchObject([{ room_id: plain, children_state: [] }])
  })

  it('shows the children of a space that the walk ends at', async () => {
    const user = await register(server)
    const space = () => user.createRoom({ creation_content: { type: 'm.space' } })
    const [root, sub, leaf] = [await space(), await space(), await user.createRoom()]
    await user.setState(root, 'm.space.child', { via: ['lethe.test'] }, sub)
    await user.setState(sub, 'm.space.child', { via: ['lethe.test'] }, leaf)
    const answer = await admin.get(v1(path`/rooms/${root}/hierarchy`), { max_depth: 1 })
    expect(objectsAt(answer, 'rooms')).toMatchObject([{ room_id: root }, { room_id: sub, children_state: [{ state_key: leaf }] }]) // prettier-ignore
  })
})
