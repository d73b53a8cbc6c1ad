import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { sweep } from '../../src/retention/sweeper.ts'
import { uploadAs } from '../api/media-server.ts'
import { at, objectsAt, path, Person, register } from '../harness/people.ts'
import { scanEverything } from '../harness/scan-everything.ts'
import { type Backup, WholeServer } from '../harness/whole-server.ts'

const hour = 3_600_000
const day = 24 * hour
/** How long messages live in the room. */
const lifetime = 2 * day

const crowdSize = 300

/** A word that nothing else on the disk holds. Letters of a kind that compression leaves as they are. */
const mark = () => randomBytes(12).toString('hex')

/** Everything that people leave in this story, each with a mark of its own. */
interface Story {
  readonly server: WholeServer
  readonly alice: Person
  readonly room: string
  readonly marks: Readonly<Record<string, string>>
  /** A message without an end. */
  readonly lasting: { readonly room: string; readonly eventId: string; readonly mark: string }
}

async function tell(settings: { readonly sealed: boolean }): Promise<Story> {
  const server = await WholeServer.start({ sealing: { enabled: settings.sealed } })
  const alice = await register(server)
  const marks = {
    body: mark(), crowd: mark(), formatted: mark(), reaction: mark(), edit: mark(), topic: mark(), name: mark(), displayName: mark(),
    accountData: mark(), deviceName: mark(), filter: mark(), media: mark(), toDevice: mark(), reason: mark(),
  } // prettier-ignore
  const room = await alice.createRoom({
    name: `first ${marks.name}`,
    topic: `first ${marks.topic}`,
    initial_state: [{ type: 'm.room.retention', state_key: '', content: { max_lifetime: lifetime } }],
  })
  const eventId = await alice.send(room, {
    msgtype: 'm.text',
    body: `body ${marks.body}`,
    format: 'org.matrix.custom.html',
    formatted_body: `<p>${marks.formatted}</p>`,
  })
  await alice.send(room, {
    msgtype: 'm.text',
    body: `* ${marks.edit}`,
    'm.new_content': { msgtype: 'm.text', body: marks.edit },
    'm.relates_to': { rel_type: 'm.replace', event_id: eventId },
  })
  await alice.put(path`/rooms/${room}/send/m.reaction/r1`, {
    'm.relates_to': { rel_type: 'm.annotation', event_id: eventId, key: marks.reaction },
  })
  // Enough for pages of their own: on a page that others share, Postgres may write over what it has deleted.
  await Promise.all(Array.from({ length: crowdSize }, (_, number) => alice.send(room, `${number} ${marks.crowd}`)))
  const redacted = await alice.send(room, 'to be redacted')
  await alice.put(path`/rooms/${room}/redact/${redacted}/x1`, { reason: marks.reason })
  // What holds the state now is another name and topic: these are of the past.
  await alice.setState(room, 'm.room.name', { name: 'second' })
  await alice.setState(room, 'm.room.topic', { topic: 'second' })
  await alice.put(path`/profile/${alice.userId}/displayname`, { displayname: marks.displayName })
  await alice.put(path`/profile/${alice.userId}/displayname`, { displayname: 'second' })
  await alice.put(path`/user/${alice.userId}/account_data/org.example.notes`, { note: marks.accountData })
  await alice.put(path`/devices/${alice.deviceId}`, { display_name: marks.deviceName })
  await alice.post(path`/user/${alice.userId}/filter`, { room: { rooms: [`!${marks.filter}`] } })
  await uploadAs(alice, Buffer.from(`file ${marks.media}`), 'text/plain', 'notes.txt')
  await alice.put(path`/sendToDevice/org.example.secret/t1`, {
    messages: { [alice.userId]: { [alice.deviceId]: { secret: marks.toDevice } } },
  })
  const lasting = { room: await alice.createRoom({}), eventId: '', mark: mark() }
  const lastingId = await alice.send(lasting.room, `lasting ${lasting.mark}`)
  return { server, alice, room, marks, lasting: { ...lasting, eventId: lastingId } }
}

/** The same person, at another server. */
const again = ({ url }: WholeServer, { userId, deviceId, accessToken, password }: Person) =>
  new Person(url, { user_id: userId, device_id: deviceId, access_token: accessToken }, password)

async function expire({ server }: Story): Promise<void> {
  await server.clock.advance(lifetime + lifetime / 8 + hour)
  await sweep(server.ctx)
  await server.ctx.db.pool.query('VACUUM')
  await server.ctx.db.pool.query('ANALYZE')
}

describe('the scanner, where nothing is sealed', () => {
  let story: Story
  beforeAll(async () => {
    story = await tell({ sealed: false })
  }, 120_000)
  afterAll(() => story?.server.remove())

  it('finds what people say and keep, wherever it is', async () => {
    const found = await scanEverything(story.server, story.marks)
    expect(Object.keys(found).sort()).toEqual(Object.keys(story.marks).sort())
    expect(found['body']).toEqual(['heap or index', 'table events', 'write-ahead log'])
    expect(found['accountData']).toEqual(['heap or index', 'table account_data', 'write-ahead log'])
  }, 60_000)

  it('finds messages in the files after they were deleted and vacuumed', async () => {
    await expire(story)
    const found = await scanEverything(story.server, story.marks)
    expect(found['crowd']).toEqual(['heap or index', 'write-ahead log'])
    for (const label of ['body', 'formatted', 'reaction', 'edit']) {
      expect(found[label]).toEqual(expect.arrayContaining(['write-ahead log']))
      expect(found[label]).not.toEqual(expect.arrayContaining(['table events']))
    }
  }, 60_000)
})

describe('promise 5: after its time a message cannot be read in files, indexes, statistics or the write-ahead log', () => {
  let story: Story
  let backup: Backup
  beforeAll(async () => {
    story = await tell({ sealed: true })
    backup = await story.server.backUp()
  }, 120_000)
  afterAll(async () => {
    await story?.server.remove()
    await backup?.remove()
  })

  it('is not there in clear even before, nor is anything else that people say and keep', async () => {
    expect(await scanEverything(story.server, { ...story.marks, lasting: story.lasting.mark })).toEqual({})
  }, 60_000)

  it('is not there afterwards, and what is left of it opens with no key that is left', async () => {
    const { rows: before } = await story.server.ctx.db.pool.query<{ event_id: string; body: Buffer }>(
      `SELECT event_id, body FROM events e JOIN rooms USING (room_number) WHERE room_id = $1 AND state_key_number IS NULL`,
      [story.room],
    )
    const opened = () =>
      before.filter(row => story.server.ctx.numbers.sealer.open(row.body, row.event_id) !== null).length
    expect(opened()).toBe(before.length)
    await expire(story)
    expect(await scanEverything(story.server, story.marks)).toEqual({})
    expect(opened()).toBe(0)
  }, 60_000)

  describe('promise 6: restoring a backup never brings an expired message back', () => {
    const readable = async (restored: WholeServer, marks: Story['marks']) => {
      const alice = again(restored, story.alice)
      const answers = JSON.stringify([
        await alice.sync(),
        await alice.get(path`/rooms/${story.room}/messages`, { dir: 'b', limit: 100 }),
        await alice.get(path`/rooms/${story.lasting.room}/messages`, { dir: 'b', limit: 100 }),
      ])
      return Object.entries(marks).flatMap(([label, text]) => (answers.includes(text) ? [label] : []))
    }

    it('is read by nobody, while everything else is', async () => {
      const restored = await backup.restore('current')
      try {
        const all = { ...story.marks, lasting: story.lasting.mark }
        expect(await readable(restored, all)).toEqual(
          ['accountData', 'toDevice', 'lasting'].filter(label => label in all),
        )
        // Not hidden by the clock alone: the rows are there, and nobody can open them.
        const { rows } = await restored.ctx.db.pool.query<{ event_id: string; body: Buffer }>(
          `SELECT event_id, body FROM events JOIN rooms USING (room_number)
           WHERE room_id = $1 AND state_key_number IS NULL`,
          [story.room],
        )
        expect(rows.length).toBeGreaterThan(3)
        const { sealer } = restored.ctx.numbers
        expect(rows.filter(row => sealer.open(row.body, row.event_id) !== null)).toEqual([])
        // The room lives on.
        const alice = again(restored, story.alice)
        const content = { msgtype: 'm.text', body: 'after the restoration' }
        await alice.put(path`/rooms/${story.room}/send/m.room.message/new`, content)
        const page = await alice.get(path`/rooms/${story.room}/messages`, { dir: 'b', limit: 1 })
        expect(at(objectsAt(page, 'chunk')[0] ?? {}, 'content', 'body')).toBe('after the restoration')
      } finally {
        await restored.remove()
      }
    }, 120_000)

    it('and would be read, had the keyring been in the backup: that is what the test would see', async () => {
      const restored = await backup.restore('of the backup')
      try {
        const { rows } = await restored.ctx.db.pool.query<{ event_id: string; body: Buffer }>(
          `SELECT event_id, body FROM events JOIN rooms USING (room_number)
           WHERE room_id = $1 AND state_key_number IS NULL`,
          [story.room],
        )
        const { sealer } = restored.ctx.numbers
        const texts = rows.map(row => sealer.open(row.body, row.event_id)).join()
        expect(texts).toContain(story.marks['body'])
      } finally {
        await restored.remove()
      }
    }, 120_000)
  })
})

describe('promise 7: a redacted message leaves the tables at once, and no copy of it can be read after the next sweep', () => {
  let server: WholeServer
  let alice: Person
  beforeAll(async () => {
    server = await WholeServer.start()
    alice = await register(server)
  }, 120_000)
  afterAll(() => server?.remove())

  it('with its key, and no other', async () => {
    const room = await alice.createRoom({})
    const said = mark()
    const eventId = await alice.send(room, said)
    const neighbour = await alice.send(room, 'stays')
    const bodyOf = async (id: string) => {
      const { rows } = await server.ctx.db.pool.query<{ body: Buffer }>('SELECT body FROM events WHERE event_id = $1', [id]) // prettier-ignore
      return rows[0]?.body ?? Buffer.alloc(0)
    }
    const copies = { said: await bodyOf(eventId), stays: await bodyOf(neighbour) }
    const { sealer } = server.ctx.numbers
    expect(sealer.open(copies.said, eventId)).toContain(said)

    await alice.put(path`/rooms/${room}/redact/${eventId}/x`, {})
    expect(sealer.open(await bodyOf(eventId), eventId)).not.toContain(said)
    expect(sealer.open(copies.said, eventId)).toContain(said)

    await sweep(server.ctx)
    expect(sealer.open(copies.said, eventId)).toBeNull()
    expect(sealer.open(copies.stays, neighbour)).toContain('stays')
    // Another start reads the keyring anew.
    await server.stop()
    await server.resume()
    expect(server.ctx.numbers.sealer.open(copies.said, eventId)).toBeNull()
    expect(server.ctx.numbers.sealer.open(copies.stays, neighbour)).toContain('stays')
    const { rows } = await server.ctx.db.pool.query('SELECT FROM dead_seals')
    expect(rows).toEqual([])
  }, 60_000)

  it('also when the process is killed between the redaction and the sweep', async () => {
    // The server has started anew since.
    const caller = again(server, alice)
    const room = await caller.createRoom({})
    const eventId = await caller.send(room, 'soon gone')
    await caller.put(path`/rooms/${room}/redact/${eventId}/y`, {})
    await server.stop()
    await server.resume()
    const { rows } = await server.ctx.db.pool.query('SELECT FROM dead_seals')
    expect(rows).toHaveLength(1)
    await sweep(server.ctx)
    expect((await server.ctx.db.pool.query('SELECT FROM dead_seals')).rows).toEqual([])
  }, 60_000)
})
