import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { append, makeRoom } from '../../src/rooms/append.ts'
import { RoomHead, roomHead } from '../../src/rooms/head.ts'
import { type RoomId, type UserId } from '../../src/protocol/identifiers.ts'
import { roomVersion, roomVersions, type RoomVersion } from '../../src/protocol/room-versions.ts'
import { loadHead, snapshotEventNumbers } from '../../src/storage/room-heads.ts'
import { eventsByNumber } from '../../src/storage/events.ts'
import { requestHash } from '../../src/storage/transactions.ts'
import { type StorageContext, storageContext } from '../harness/storage-context.ts'

const alice = '@alice:test.example' as UserId
const bob = '@bob:test.example' as UserId

let server: StorageContext

beforeAll(async () => {
  server = await storageContext()
})
afterAll(() => server.close())

function publicRoom(version: RoomVersion): Promise<RoomId> {
  const { ctx } = server
  const create = { sender: alice, type: 'm.room.create', stateKey: '', content: version.implicitRoomCreator ? { room_version: version.id } : { room_version: version.id, creator: alice } } // prettier-ignore
  return makeRoom(ctx, version, create, { isPublic: false, aliases: [] }, async room => {
    await room.add({ sender: alice, type: 'm.room.member', stateKey: alice, content: { membership: 'join' } })
    await room.add({ sender: alice, type: 'm.room.power_levels', stateKey: '', content: version.privilegedCreators ? {} : { users: { [alice]: 100 } } }) // prettier-ignore
    await room.add({ sender: alice, type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'public' } })
  })
}

const version12 = roomVersion('12') as RoomVersion

describe('the door to a room', () => {
  it.each(roomVersions.map(version => [version.id, version] as const))(
    'makes a room of version %s',
    async (_id, version) => {
      const roomId = await publicRoom(version)
      const head = await roomHead(server.ctx, roomId)
      expect(head?.members('join')).toEqual([alice])
      expect(head?.event('m.room.join_rules')?.content).toEqual({ join_rule: 'public' })
      expect(head?.depth).toBe(4)
    },
  )

  it('keeps the order of concurrent appends and links each to the one before', async () => {
    const { ctx } = server
    const roomId = await publicRoom(version12)
    const sent = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const appended = await append(ctx, roomId, async room => {
          await room.add({ sender: alice, type: 'm.room.message', content: { body: `message ${index}` } })
        })
        if (appended.outcome !== 'committed') throw new Error('not committed')
        return appended.stored[0]
      }),
    )
    const positions = sent.map(stored => stored?.position ?? 0)
    expect(positions).toEqual([...positions].sort((a, b) => a - b))
    for (let index = 1; index < sent.length; index++) {
      expect(sent[index]?.event.prevEvents).toEqual([sent[index - 1]?.event.eventId])
    }
  })

  it('counts those who have joined as they come, change and go', async () => {
    const { ctx } = server
    const roomId = await publicRoom(version12)
    const counts: (readonly [number | undefined, number | undefined])[] = []
    for (const content of [
      { membership: 'join' },
      { membership: 'join', displayname: 'Bob' },
      { membership: 'leave' },
      { membership: 'join' },
    ]) {
      // prettier-ignore
      await append(ctx, roomId, async room => {
        await room.add({ sender: bob, type: 'm.room.member', stateKey: bob, content })
      })
      const head = await roomHead(ctx, roomId)
      counts.push([head?.joinedCount, head?.members('join').length])
    }
    expect(counts).toEqual([[2, 2], [2, 2], [1, 1], [2, 2]]) // prettier-ignore
    const loaded = await loadHead(ctx.db, ctx.numbers, roomId)
    expect(loaded && new RoomHead(loaded).joinedCount).toBe(2)
  })

  it('refuses what the rules refuse and leaves the room as it was', async () => {
    const { ctx } = server
    const roomId = await publicRoom(version12)
    const before = await roomHead(ctx, roomId)
    const depth = before?.depth
    await expect(
      append(ctx, roomId, async room => {
        await room.add({ sender: alice, type: 'm.room.topic', stateKey: '', content: { topic: 'lost' } })
        await room.add({ sender: bob, type: 'm.room.message', content: {} })
      }),
    ).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' })
    const after = await roomHead(ctx, roomId)
    expect(after?.depth).toBe(depth)
    expect(after?.event('m.room.topic')).toBeNull()
  })

  it('knows after every change how much memory its head takes', async () => {
    const { ctx } = server
    const roomId = await publicRoom(version12)
    const say = (length: number) =>
      append(ctx, roomId, async room => {
        await room.add({ sender: alice, type: 'org.example.note', stateKey: '', content: { note: 'x'.repeat(length) } })
      })
    await say(10)
    const small = (await roomHead(ctx, roomId))?.sizeBytes ?? 0
    await say(10_000)
    const large = (await roomHead(ctx, roomId))?.sizeBytes ?? 0
    expect(large - small).toBeGreaterThan(10_000)
    await say(10)
    expect(Math.abs(((await roomHead(ctx, roomId))?.sizeBytes ?? 0) - small)).toBeLessThan(100)
    // What is read anew takes what had been reckoned up.
    const loaded = await loadHead(ctx.db, ctx.numbers, roomId)
    if (!loaded) throw new Error('the room is gone')
    expect(Math.abs(new RoomHead(loaded).sizeBytes - small)).toBeLessThan(100)
  })

  it('stores state so that any event’s state can be read again', async () => {
    const { ctx } = server
    const roomId = await publicRoom(version12)
    const expected: string[][] = []
    const numbers: number[] = []
    for (let index = 0; index < 40; index++) {
      const appended = await append(ctx, roomId, async room => {
        await room.add({ sender: alice, type: 'org.example.note', stateKey: String(index % 25), content: { index } })
      })
      const stored = appended.outcome === 'committed' ? appended.stored[0] : undefined
      const head = await roomHead(ctx, roomId)
      expected.push([...(head?.state.values() ?? [])].map(({ event }) => event.eventId).sort())
      numbers.push(stored?.snapshotNumber ?? 0)
      const row = await eventsByNumber(ctx.db.kysely, ctx.numbers, [stored?.eventNumber ?? 0])
      expect(row[0]?.snapshotNumber ?? 0).toBeGreaterThan(0)
    }
    for (const [index, snapshotNumber] of numbers.entries()) {
      const state = await eventsByNumber(ctx.db.kysely, ctx.numbers, await snapshotEventNumbers(ctx.db, snapshotNumber))
      expect(state.map(({ event }) => event.eventId).sort()).toEqual(expected[index])
    }
  })

  it('answers a repeated transaction with the event of the first time', async () => {
    const { ctx } = server
    const roomId = await publicRoom(version12)
    const transaction = {
      requestHash: requestHash([alice, 'DEVICE', 'send', roomId, 'txn']),
      deviceId: null,
      transactionId: 'txn',
    }
    const send = () =>
      append(ctx, roomId, async room => {
        await room.add({ sender: alice, type: 'm.room.message', content: { body: 'once' }, transaction })
      })
    const [first, second] = await Promise.all([send(), send()])
    expect(first.outcome).toBe('committed')
    const eventId = first.outcome === 'committed' ? first.stored[0]?.event.eventId : undefined
    expect(second).toEqual({ outcome: 'repeated', eventId })
    // The room is still sendable.
    expect((await append(ctx, roomId, async room => void (await room.add({ sender: alice, type: 'm.room.message', content: {} })))).outcome).toBe('committed') // prettier-ignore
  })

  it('prunes what a redaction redacts in the same transaction', async () => {
    const { ctx } = server
    const roomId = await publicRoom(version12)
    const appended = await append(ctx, roomId, async room => {
      await room.add({ sender: alice, type: 'm.room.message', content: { body: 'regretted' } })
    })
    const target = appended.outcome === 'committed' ? appended.stored[0] : undefined
    if (!target) throw new Error('not committed')
    await append(ctx, roomId, async room => {
      await room.add({ sender: alice, type: 'm.room.redaction', content: {}, redacts: target.event.eventId })
    })
    const [pruned] = await eventsByNumber(ctx.db.kysely, ctx.numbers, [target.eventNumber])
    expect(pruned?.event.content).toEqual({})
    expect(pruned?.redactedBy).toBeGreaterThan(0)
  })

  it('takes an event type and a state key that hold NUL, and gives them back', async () => {
    const { ctx } = server
    const roomId = await publicRoom(version12)
    await append(ctx, roomId, async room => {
      await room.add({ sender: alice, type: 'a\0b\\0', stateKey: '\0', content: { body: '\0' } })
    })
    const head = await roomHead(ctx, roomId)
    expect(head?.event('a\0b\\0', '\0')?.content).toEqual({ body: '\0' })
  })

  it('builds again on the new head when another process was faster', async () => {
    const roomId = await publicRoom(version12)
    const other = await server.another()
    try {
      const send = (ctx: StorageContext['ctx'], body: string) =>
        append(ctx, roomId, async room => {
          await room.add({ sender: alice, type: 'm.room.message', content: { body } })
        })
      const outcomes = await Promise.all(
        Array.from({ length: 40 }, (_, index) => send(index % 2 === 0 ? server.ctx : other.ctx, `message ${index}`)),
      )
      const stored = outcomes.flatMap(outcome => (outcome.outcome === 'committed' ? outcome.stored : []))
      expect(stored).toHaveLength(40)
      const prev = new Set(stored.flatMap(({ event }) => event.prevEvents))
      // A line, not a bush: each event but the last is the parent of exactly one other.
      expect(stored.filter(({ event }) => !prev.has(event.eventId))).toHaveLength(1)
    } finally {
      await other.close()
    }
  })
})
