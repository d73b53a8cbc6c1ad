import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { backgroundJobs } from '../../src/admin/job-loop.ts'
import { placeOf } from '../../src/privacy/seal.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { silentLogger } from '../../src/log.ts'
import { openDatabase } from '../../src/storage/database.ts'
import { migrate, readMigrations } from '../../src/storage/migrate.ts'
import { testDatabase } from '../harness/database.ts'
import { at, objectsAt, path, type Person, register, text } from '../harness/people.ts'
import { tablesThatHold } from '../harness/scan.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { untilEnded } from './jobs.ts'
import { registerAdmin } from './people.ts'

const v1 = (rest: string) => `/_synapse/admin/v1${rest}`
const dayMs = 86_400_000

let server: TestServer
let admin: Person

beforeAll(async () => {
  // The sweeper works when a test says so.
  server = await startTestServer({ loops: [backgroundJobs] })
  admin = await registerAdmin(server, 'root')
})
afterAll(() => server.close())

/** The sealed values of a column, by what a condition finds. */
async function sealed(table: string, column: string): Promise<Buffer[]> {
  const { rows } = await server.ctx.db.pool.query<{ value: Buffer }>(`SELECT ${column} AS value FROM ${table}`)
  return rows.map(row => row.value)
}

/** Whether the key of a sealed value is alive. */
function isReadable(value: Buffer | undefined): boolean {
  const place = value && placeOf(value)
  if (!place) throw new Error('the value is not sealed')
  return server.ctx.numbers.sealer.keyAt(place) !== null
}

describe('what people write to administrators, and administrators order', () => {
  it('is read by those whom it is for and stands in no table in clear', async () => {
    const user = await register(server)
    const room = await user.createRoom()
    const canaries = { reason: 'a rude canary', redaction: 'a redacting canary', upload: 'canary-in-a-name.txt' }
    await user.post(path`/rooms/${room}/report`, { reason: canaries.reason })
    const redacted = await admin.post(v1(path`/user/${user.userId}/redact`), { rooms: [], reason: canaries.redaction })
    await untilEnded(() => admin.get(v1(path`/user/redact_status/${text(redacted, 'redact_id')}`)))
    await user.request('POST', `/_matrix/media/v3/upload?filename=${canaries.upload}`, Buffer.from('x'), {
      headers: { 'Content-Type': 'text/plain' },
    })
    expect(await tablesThatHold(server.ctx.db, canaries)).toEqual({})
    expect(objectsAt(await admin.get('/_lethe/admin/v1/reports/room'), 'reports')[0]).toMatchObject({ reason: canaries.reason }) // prettier-ignore
    const media = await admin.get(v1(path`/users/${user.userId}/media`), { order_by: 'upload_name' })
    expect(at(media, 'media', 0, 'upload_name')).toBe(canaries.upload)
    const [job] = objectsAt(await admin.get(v1('/scheduled_tasks'), { resource_id: user.userId }), 'scheduled_tasks')
    expect(job).toMatchObject({ status: 'complete', result: { redacted: 0, failed: {} } })
  })

  it('cannot be read in any copy once it is deleted', async () => {
    const user = await register(server)
    const room = await user.createRoom()
    await user.post(path`/rooms/${room}/report`, { reason: 'deleted by an administrator' })
    await user.request('POST', '/_matrix/media/v3/upload?filename=gone.txt', Buffer.from('x'), {
      headers: { 'Content-Type': 'text/plain' },
    })
    const reason = (await sealed('reports', 'reason')).at(-1)
    const name = (await sealed('media', 'upload_name')).at(-1)
    const request = (await sealed('background_jobs', 'request')).at(-1)
    expect([reason, name, request].map(isReadable)).toEqual([true, true, true])
    const [report] = objectsAt(await admin.get('/_lethe/admin/v1/reports/room'), 'reports')
    await admin.delete(`/_lethe/admin/v1/reports/room/${String(report?.['id'])}`)
    await admin.delete(v1(path`/users/${user.userId}/media`))
    await sweep(server.ctx)
    expect([reason, name, request].map(isReadable)).toEqual([false, false, true])
    await server.clock.advance(8 * dayMs)
    await sweep(server.ctx)
    expect(isReadable(request)).toBe(false)
  })

  it('of an erased reporter cannot be read either', async () => {
    const user = await register(server)
    await user.post(path`/rooms/${await user.createRoom()}/report`, { reason: 'mine' })
    const reason = (await sealed('reports', 'reason')).at(-1)
    await admin.post(v1(path`/deactivate/${user.userId}`), { erase: true })
    await sweep(server.ctx)
    expect(isReadable(reason)).toBe(false)
  })

  it('dies with its time by itself', async () => {
    const user = await register(server)
    await user.post(path`/rooms/${await user.createRoom()}/report`, { reason: 'old' })
    const reason = (await sealed('reports', 'reason')).at(-1)
    await server.clock.advance(29 * dayMs)
    await sweep(server.ctx)
    expect(isReadable(reason)).toBe(true)
    await server.clock.advance(5 * dayMs)
    await sweep(server.ctx)
    expect(isReadable(reason)).toBe(false)
  })
})

describe('work that goes on while keys are rotated', () => {
  it('seals how far it has come under the new keys', async () => {
    const waiting = await startTestServer({ loops: [] })
    const { ctx } = waiting
    const root = await registerAdmin(waiting, 'root')
    const room = await root.createRoom()
    await root.send(room, 'one')
    await root.send(room, 'two')
    const order = { purge_up_to_ts: waiting.clock.now() + 60_000, delete_local_events: true }
    const id = text(await root.post(v1(path`/purge_history/${room}`), order), 'purge_id')
    const generations = async () => {
      const { rows } = await ctx.db.pool.query<{ request: Buffer; progress: Buffer }>('SELECT request, progress FROM background_jobs') // prettier-ignore
      return rows.map(({ request, progress }) => [placeOf(request)?.generation, placeOf(progress)?.generation])
    }
    expect(await generations()).toEqual([[0, 0]])
    // As when a rotation was killed and the server is started before it is run to its end.
    await ctx.keyring.beginRotation()
    const end = backgroundJobs.start(ctx)
    expect(await untilEnded(() => root.get(v1(path`/purge_history_status/${id}`)))).toEqual({ status: 'complete' })
    await end()
    expect(await generations()).toEqual([[0, 1]])
    const [job] = objectsAt(await root.get(v1('/scheduled_tasks'), { resource_id: room }), 'scheduled_tasks')
    expect(job).toMatchObject({ result: { deletedEvents: 1 } })
    await waiting.close()
  })
})

describe('what was written before it was sealed', () => {
  it('is kept as it is, and work that had ended is forgotten', async () => {
    const database = await testDatabase({ empty: true })
    const db = openDatabase(database.connection, silentLogger)
    const all = await readMigrations()
    await migrate(db.pool, all.filter(({ name }) => name < '0012')) // prettier-ignore
    await db.pool.query(`
      INSERT INTO users (user_id, is_local) VALUES ('@a:lethe.test', true);
      INSERT INTO accounts (user_number, created_on) SELECT user_number, current_date FROM users;
      INSERT INTO reports (user_number, reason, received_ts) SELECT user_number, 'rüde', 1 FROM users;
      INSERT INTO background_jobs (job_id, kind, target, request, created_ts, ended_ts)
        VALUES ('done', 'redact_user', '@a:lethe.test', '{}', 1, 2), ('under way', 'redact_user', '@a:lethe.test', '{"limit":1}', 1, NULL);
      INSERT INTO media (media_id, user_number, file_name, content_type, upload_name, size_bytes, sha256, created_ts)
        SELECT 'm', user_number, 'f', 'text/plain', 'name.txt', 1, sha256('x'), 1 FROM users`)
    await migrate(db.pool, all)
    const { rows } = await db.pool.query<{ value: Buffer }>(`SELECT reason AS value FROM reports
      UNION ALL SELECT request FROM background_jobs UNION ALL SELECT progress FROM background_jobs UNION ALL SELECT upload_name FROM media`)
    const { sealer } = server.ctx.numbers
    expect(rows.map(({ value }) => sealer.open(value, 'any'))).toEqual(['rüde', '{"limit":1}', '{}', 'name.txt'])
    await db.close()
    await database.drop()
  })
})
