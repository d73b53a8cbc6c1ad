import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type Context } from '../../src/context.ts'
import { type User } from '../../src/http/endpoint.ts'
import { type JsonObject } from '../../src/protocol/json.ts'
import { parseEventId, parseUserId, type RoomId, type UserId } from '../../src/protocol/identifiers.ts'
import { append, makeRoom } from '../../src/rooms/append.ts'
import { roomVersion } from '../../src/protocol/room-versions.ts'
import { acknowledge } from '../../src/rooms/receipts.ts'
import { filterFrom, sinceFrom } from '../../src/sync/request.ts'
import { answerSync } from '../../src/sync/response.ts'
import { parseSyncToken, syncToken } from '../../src/sync/token.ts'
import { at, objectsAt, text } from '../harness/people.ts'
import { storageContext, type StorageContext } from '../harness/storage-context.ts'

const alice = parseUserId('@alice:test.example') as UserId // It is one.
const version = roomVersion('12')

let one: StorageContext
let two: StorageContext
let room: RoomId
beforeAll(async () => {
  one = await storageContext()
  two = await one.another()
  if (!version) throw new Error('there is no room version 12')
  const create = { sender: alice, type: 'm.room.create', stateKey: '', content: { room_version: '12' } }
  room = await makeRoom(one.ctx, version, create, { isPublic: false, aliases: [] }, async open => {
    await open.add({ sender: alice, type: 'm.room.member', stateKey: alice, content: { membership: 'join' } })
  })
})
afterAll(async () => {
  await two.close()
  await one.close()
})

async function callerOn(ctx: Context): Promise<User> {
  const userNumber = await ctx.numbers.user(alice)
  return { userId: alice, userNumber, deviceId: null, isAdmin: false, isGuest: false, isSuspended: false, tokenHash: null } // prettier-ignore
}

async function syncOn(ctx: Context, since?: string, timeoutMs = 0): Promise<JsonObject> {
  const caller = await callerOn(ctx)
  const filter = await filterFrom(ctx, caller.userNumber, undefined)
  const request = { caller, filter, since: sinceFrom(ctx, since), fullState: false, stateAfterKeys: [], timeoutMs }
  const answer = await answerSync(ctx, request, () => ({ isOver: false, listen: () => () => undefined }))
  return JSON.parse(answer) as JsonObject // An answer to /sync is an object.
}

async function say(ctx: Context, body: string): Promise<void> {
  await append(ctx, room, async open => {
    await open.add({ sender: alice, type: 'm.room.message', content: { msgtype: 'm.text', body } })
  })
}

const bodies = (sync: JsonObject) =>
  objectsAt(sync, 'rooms', 'join', room, 'timeline', 'events').map(event => at(event, 'content', 'body'))

describe('two replicas', () => {
  it('wake those who wait at one for what happens at the other', async () => {
    const since = text(await syncOn(two.ctx), 'next_batch')
    const waiting = syncOn(two.ctx, since, 60_000)
    await say(one.ctx, 'across')
    expect(bodies(await waiting)).toEqual(['across'])
  })

  it('take each other’s tokens, also when they are ahead', async () => {
    let since = text(await syncOn(one.ctx), 'next_batch')
    for (let round = 0; round < 10; round++) {
      await say(one.ctx, `round ${round}`)
      const first = await syncOn(one.ctx, since)
      expect(bodies(first)).toEqual([`round ${round}`])
      const second = await syncOn(two.ctx, text(first, 'next_batch'))
      expect(bodies(second)).toEqual([])
      since = text(second, 'next_batch')
    }
  })

  it('answer nothing to a token from beyond the log, and keep it', async () => {
    const token = parseSyncToken(text(await syncOn(one.ctx), 'next_batch'))
    if (!token) throw new Error('the token does not read back')
    const beyond = syncToken({ ...token, position: token.position + 1 })
    const waiting = syncOn(one.ctx, beyond)
    await say(two.ctx, 'the position that was waited for')
    expect(text(await waiting, 'next_batch').split('_')[0]).toBe(`s${token.position + 1}`)
  })

  it('keep a receipt on the farther event when two are sent at once, and tell of no other last', async () => {
    const readAt = (sync: JsonObject) => {
      const [receipt] = objectsAt(sync, 'rooms', 'join', room, 'ephemeral', 'events').slice(-1)
      return Object.keys((receipt?.['content'] as JsonObject | undefined) ?? {}) // A receipt's content is an object.
    }
    const replicas = [one.ctx, two.ctx]
    let tokens = await Promise.all(replicas.map(async ctx => text(await syncOn(ctx), 'next_batch')))
    for (let round = 0; round < 12; round++) {
      for (const body of ['nearer', 'farther']) await say(one.ctx, body)
      const told = await syncOn(one.ctx, tokens[0])
      const [nearer, farther] = objectsAt(told, 'rooms', 'join', room, 'timeline', 'events').map(event => parseEventId(text(event, 'event_id'))) // prettier-ignore
      if (!nearer || !farther) throw new Error('the messages are not there')
      const mark = { roomId: room, receiptType: 'm.read', threadId: null } as const
      // Each has looked, and found nothing farther, before the other is written down.
      await two.ctx.log.reached(one.ctx.log.head, 5_000)
      await Promise.all([
        acknowledge(round % 2 === 0 ? one.ctx : two.ctx, alice, { ...mark, eventId: nearer }),
        acknowledge(round % 2 === 0 ? two.ctx : one.ctx, alice, { ...mark, eventId: farther }),
      ])
      await Promise.all(replicas.map(ctx => ctx.log.reached(Math.max(...replicas.map(each => each.log.head)), 5_000)))
      for (const ctx of replicas) {
        expect([round, readAt(await syncOn(ctx))]).toEqual([round, [farther]])
        // What was told while it was new does not end with the nearer one either.
        expect([round, readAt(await syncOn(ctx, tokens[0]))]).toEqual([round, [farther]])
      }
      tokens = await Promise.all(replicas.map(async ctx => text(await syncOn(ctx), 'next_batch')))
    }
  })
})
