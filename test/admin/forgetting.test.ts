import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { backgroundJobs } from '../../src/admin/job-loop.ts'
import { at, objectsAt, type Person, register, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { untilEnded } from './jobs.ts'
import { registerAdmin } from './people.ts'

const base = '/_lethe/admin/v1/retention'
const minuteMs = 60_000

let server: TestServer
let admin: Person

beforeAll(async () => {
  // Nothing is swept but what is ordered.
  server = await startTestServer({ loops: [backgroundJobs] })
  admin = await registerAdmin(server, 'root')
})
afterAll(() => server.close())

const order = async () => {
  const id = text(await admin.post(`${base}/sweep`), 'sweep_id')
  return untilEnded(() => admin.get(`${base}/sweep/${id}`))
}

describe('what is going to be forgotten', () => {
  it('is counted now, within the hour and within the day, by room, without what it says', async () => {
    const user = await register(server)
    const [short, timed, plain] = [await user.createRoom(), await user.createRoom(), await user.createRoom()]
    await user.setState(short, 'm.room.retention', { max_lifetime: 90 * minuteMs })
    for (let count = 0; count < 2; count++) await user.send(short, 'a canary to forget')
    await user.send(plain, 'for ever')
    const timer = {
      msgtype: 'm.text',
      body: 'short',
      'org.matrix.self_destruct_after': server.clock.now() + 10 * minuteMs,
    }
    await user.send(timed, timer)
    await user.send(timed, 'stays')
    await server.clock.advance(60 * minuteMs)
    await user.send(short, 'later')
    await server.clock.advance(15 * minuteMs)
    const status = await admin.get(`${base}/status`)
    expect(status['due']).toEqual({
      by_lifetime: { now: 0, within_hour: 2, within_day: 3 },
      by_timer: { now: 1, within_hour: 1, within_day: 1 },
      oldest_ts: expect.any(Number) as unknown,
      rooms: [
        { room_id: short, now: 0, within_hour: 2, within_day: 3 },
        { room_id: timed, now: 1, within_hour: 1, within_day: 1 },
      ],
    })
    expect(JSON.stringify(status)).not.toContain('canary')
    await server.clock.advance(20 * minuteMs)
    expect(at(await admin.get(`${base}/status`), 'due', 'by_lifetime')).toEqual({
      now: 2,
      within_hour: 3,
      within_day: 3,
    })
  })
})

describe('a sweep that is ordered', () => {
  it('deletes what is due, says how much, and stands among the tasks', async () => {
    const user = await register(server)
    const room = await user.createRoom()
    await user.setState(room, 'm.room.retention', { max_lifetime: minuteMs })
    const sent = await user.send(room, 'soon gone')
    await user.send(room, 'this too')
    await server.clock.advance(2 * minuteMs)
    const before = await admin.get(`${base}/status`)
    expect(Number(at(before, 'due', 'by_lifetime', 'now'))).toBeGreaterThan(1)
    const done = await order()
    expect(done).toMatchObject({ status: 'complete' })
    expect(Number(at(done, 'deleted', 'messages'))).toBeGreaterThan(1)
    const { rows } = await server.ctx.db.pool.query('SELECT FROM events WHERE event_id = $1', [sent])
    expect(rows).toEqual([])
    const after = await admin.get(`${base}/status`)
    expect(after).toMatchObject({
      sweep: { started_ts: server.clock.now(), ended_ts: server.clock.now(), deleted: done['deleted'] },
      due: { by_lifetime: { now: 0 }, by_timer: { now: 0 }, oldest_ts: null },
      keys_to_destroy: 0,
    })
    const tasks = objectsAt(await admin.get('/_synapse/admin/v1/scheduled_tasks'), 'scheduled_tasks')
    expect(tasks[0]).toMatchObject({ action: 'sweep', status: 'complete' })
  })

  it('is known under its ID only, and sweeps nothing by a clock that has jumped', async () => {
    expect((await admin.request('GET', `${base}/sweep/none`)).status).toBe(404)
    server.clock.set(40 * 24 * 60 * minuteMs)
    expect(await order()).toMatchObject({ status: 'failed', error: expect.stringMatching(/clock/) as unknown })
  })
})
