import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { sweep } from '../../src/retention/sweeper.ts'
import { path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const hour = 3_600_000
let server: TestServer
let alice: Person
beforeAll(async () => {
  server = await startTestServer({ loops: [] })
  alice = await register(server)
  // From here on the keys of the hours before are gone.
  await server.clock.advance(3 * hour)
  await sweep(server.ctx)
})
afterAll(() => server.close())

it('takes a message whose timer ran out before it came, and shows it to nobody', async () => {
  const room = await alice.createRoom({})
  const content = { msgtype: 'm.text', body: 'too late', 'org.matrix.self_destruct_after': 1 }
  await alice.put(path`/rooms/${room}/send/m.room.message/late`, content)
  expect(JSON.stringify(await alice.get(path`/rooms/${room}/messages`, { dir: 'b' }))).not.toContain('too late')
  await sweep(server.ctx)
  await alice.send(room, 'in time')
})

it('takes the redaction of a message that has expired and was not swept yet', async () => {
  const room = await alice.createRoom({})
  await alice.setState(room, 'm.room.retention', { max_lifetime: hour })
  const event = await alice.send(room, 'short-lived')
  await server.clock.advance(2 * hour)
  const other = await alice.createRoom({})
  // The keys of the hours before go, and this message is passed over.
  await server.ctx.keyring.destroy({ places: [], throughBucket: Math.floor(server.clock.now() / hour) })
  await alice.put(path`/rooms/${room}/redact/${event}/x`, {})
  await sweep(server.ctx)
  await alice.send(other, 'and so on')
  await alice.send(room, 'and so on')
})
