import { afterEach, describe, expect, it } from '@jest/globals'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { forgetUnreadable } from '../../src/privacy/forget-unreadable.ts'
import { placeOf } from '../../src/privacy/seal.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { uploadAs } from '../api/media-server.ts'
import { testDatabase } from '../harness/database.ts'
import { path, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function started(on: { database: TestServer['database']; dataDir: string } | null = null): Promise<TestServer> {
  const server = await startTestServer({ loops: [], clock: 'system', ...(on && { on }) })
  ends.push(() => server.close())
  return server
}

async function place() {
  const on = { database: await testDatabase(), dataDir: await mkdtemp(join(tmpdir(), 'lethe-test-set-back-')) }
  ends.push(async () => {
    await on.database.drop()
    await rm(on.dataDir, { recursive: true, force: true })
  })
  return on
}

const forget = ({ ctx }: TestServer) => forgetUnreadable(ctx, ctx.shutdown)
const setBack = ({ ctx }: TestServer) => ctx.db.pool.query('UPDATE server SET is_set_back = true')

async function isSetBack({ ctx }: TestServer): Promise<boolean> {
  const { rows } = await ctx.db.pool.query<{ is_set_back: boolean }>('SELECT is_set_back FROM server')
  return rows[0]?.is_set_back === true
}

async function bodyOf({ ctx }: TestServer, eventId: string): Promise<Buffer | null> {
  const { rows } = await ctx.db.pool.query<{ body: Buffer }>('SELECT body FROM events WHERE event_id = $1', [eventId])
  return rows[0]?.body ?? null
}

/** Destroys the key of an event that stays in the tables: so a copy has it that is older than its redaction. */
async function destroyKeyOf(server: TestServer, eventId: string): Promise<void> {
  const key = placeOf((await bodyOf(server, eventId)) ?? Buffer.of())
  if (!key) throw new Error('it is not sealed')
  await server.ctx.keyring.destroy({ places: [key], throughBucket: null })
}

describe('a database that was set back', () => {
  it('loses what no key opens any more, and keeps the rest', async () => {
    const server = await started()
    const alice = await register(server)
    const room = await alice.createRoom()
    const [kept, gone] = [await alice.send(room, 'stays'), await alice.send(room, 'goes')]
    await alice.send(room, 'the last')
    await destroyKeyOf(server, gone)
    expect(await forget(server)).toBeNull()
    await setBack(server)
    expect(await forget(server)).toEqual({ erased: 0, closed: 0, messages: 1, media: 0, unknown: 0 })
    expect(await isSetBack(server)).toBe(false)
    expect([await bodyOf(server, kept), await bodyOf(server, gone)]).toEqual([expect.any(Buffer), null])
  })

  it('keeps what is sealed under keys that its keyring knows nothing of, and goes on saying so', async () => {
    const server = await started()
    const alice = await register(server)
    const room = await alice.createRoom()
    const before = await alice.send(room, 'from before the rotation')
    await uploadAs(alice, 'a picture from before', 'image/png')
    await server.ctx.keyring.beginRotation()
    const gone = await alice.send(room, 'goes')
    const kept = await alice.send(room, 'stays')
    await destroyKeyOf(server, gone)
    // Nothing was sealed anew: so stands a copy from before a rotation beside the keyring from after it.
    await server.ctx.keyring.endRotation()
    await setBack(server)
    expect(await forget(server)).toEqual({ erased: 0, closed: 0, messages: 1, media: 0, unknown: 2 })
    expect(await isSetBack(server)).toBe(true)
    const bodies = [await bodyOf(server, before), await bodyOf(server, kept), await bodyOf(server, gone)]
    expect(bodies).toEqual([expect.any(Buffer), expect.any(Buffer), null])
    expect((await server.ctx.db.pool.query('SELECT FROM media')).rows).toHaveLength(1)
  })

  it('keeps what is sealed under newer keys than its keyring has', async () => {
    const server = await started()
    const alice = await register(server)
    const room = await alice.createRoom()
    const newer = await alice.send(room, 'from after a rotation')
    await alice.send(room, 'the last')
    await server.ctx.db.pool.query('UPDATE events SET body = set_byte(body, 1, 1) WHERE event_id = $1', [newer])
    await setBack(server)
    expect(await forget(server)).toMatchObject({ messages: 0, unknown: 1 })
    expect([await bodyOf(server, newer), await isSetBack(server)]).toEqual([expect.any(Buffer), true])
  })

  it('is judged by the keyring as it is, not by what a process remembers of it', async () => {
    const on = await place()
    const [one, other] = [await started(on), await started(on)]
    const alice = await register(one)
    const room = await alice.createRoom()
    const redacted = await alice.send(room, 'taken back')
    const copy = await bodyOf(one, redacted)
    await alice.put(path`/rooms/${room}/redact/${redacted}/x`, {})
    await alice.send(room, 'the last')
    await sweep(one.ctx)
    await one.ctx.db.pool.query('UPDATE events SET body = $1 WHERE event_id = $2', [copy, redacted])
    await setBack(one)
    expect(await forget(other)).toMatchObject({ messages: 1 })
  })
})
