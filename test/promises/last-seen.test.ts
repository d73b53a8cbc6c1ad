import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { at, objectsAt, path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const hourMs = 3_600_000

let server: TestServer
let alice: Person
beforeAll(async () => {
  server = await startTestServer({ loops: [] })
  alice = await register(server)
  // Every write to a device is noted, whatever it changes.
  await server.ctx.db.pool.query(`
    CREATE TABLE noted_writes (device_id text, day date);
    CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO noted_writes VALUES (NEW.device_id, NEW.last_seen_on); RETURN NEW; END $$;
    CREATE TRIGGER noting BEFORE UPDATE ON devices FOR EACH ROW EXECUTE FUNCTION note_write()`)
})
afterAll(() => server.close())

async function writes(): Promise<Record<string, string[]>> {
  const { rows } = await server.ctx.db.pool.query<{ device_id: string; day: string }>(
    'SELECT device_id, day FROM noted_writes ORDER BY day',
  )
  const byDevice: Record<string, string[]> = {}
  for (const { device_id: device, day } of rows) (byDevice[device] ??= []).push(day)
  return byDevice
}

describe('promise 15: "last seen" is a date', () => {
  it('and 1,000 requests over three days write it once a day for each device', async () => {
    const phone = await alice.login()
    const room = await alice.createRoom()
    // 10 turns of 7 hours 12 minutes from Sunday noon on reach the middle of Wednesday: three midnights.
    for (let turn = 0; turn < 10; turn += 1) {
      await server.clock.advance(7.2 * hourMs)
      for (let batch = 0; batch < 10; batch += 1) {
        await Promise.all([
          ...[alice, phone].flatMap(person => [
            person.get('/account/whoami'), person.sync(), person.get('/joined_rooms'), person.send(room, 'hello'),
          ]),
          alice.get('/devices'), phone.get('/devices'),
        ]) // prettier-ignore
      }
    }
    const days = ['2026-03-02', '2026-03-03', '2026-03-04']
    expect(await writes()).toEqual({ [alice.deviceId]: days, [phone.deviceId]: days })
  }, 120_000)

  it('which is also all that its owner is told', async () => {
    const device = await alice.get(path`/devices/${alice.deviceId}`)
    expect(device['last_seen_ts']).toBe(Date.UTC(2026, 2, 4))
    for (const each of objectsAt(await alice.get('/devices'), 'devices')) {
      expect(Number(each['last_seen_ts']) % (24 * hourMs)).toBe(0)
      expect(each).not.toHaveProperty('last_seen_ip')
      expect(at(each, 'last_seen_user_agent')).toBeUndefined()
    }
    const { rows } = await server.ctx.db.pool.query<{ data_type: string }>(
      `SELECT data_type FROM information_schema.columns WHERE table_name = 'devices' AND column_name LIKE '%seen%'`,
    )
    expect(rows).toEqual([{ data_type: 'date' }])
  })
})
