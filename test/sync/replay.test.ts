import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { type RoomId, type UserId } from '../../src/protocol/identifiers.ts'
import { roomHead } from '../../src/rooms/head.ts'
import { visibleEvents } from '../../src/rooms/visibility.ts'
import { timeline, wholeTimeline } from '../../src/storage/events.ts'
import { liveOf } from '../../src/sync/live.ts'
import { filterFrom, sinceFrom, type SyncRequest } from '../../src/sync/request.ts'
import { answerMessagesAlone } from '../../src/sync/messages-alone.ts'
import { type Answer, buildFromDatabase, buildFromTail } from '../../src/sync/response.ts'
import { syncToken } from '../../src/sync/token.ts'
import { objectsAt, type Person, path, type Query, register, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { Follower } from './follower.ts'

const runs = Number(process.env['LETHE_SYNC_RUNS'] ?? 2)
const steps = Number(process.env['LETHE_SYNC_STEPS'] ?? 90)

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.close())

/** mulberry32: the same numbers for the same seed. */
function numbersFrom(seed: number): (limit: number) => number {
  let state = seed >>> 0
  return limit => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }
}

/** What the follower must know in the end, from the database and the gate alone. */
async function expected(roomId: string, follower: Follower): Promise<string[]> {
  const { ctx } = server
  // The test made the room.
  const head = await roomHead(ctx, roomId as RoomId)
  if (!head) throw new Error('the room is gone')
  const { events } = await timeline(ctx.db.kysely, ctx.numbers, head.facts.roomNumber, wholeTimeline, 'forward', 10_000)
  const visible = await visibleEvents(ctx, follower.person.userId as UserId, head, events) // A registered user.
  return visible.map(({ event }) => event.eventId)
}

async function serverState(person: Person, roomId: string): Promise<Map<string, string>> {
  const done = await person.request('GET', path`/rooms/${roomId}/state`)
  const events = objectsAt({ events: done.json ?? [] }, 'events')
  return new Map(events.map(event => [`${text(event, 'type')} ${text(event, 'state_key')}`, text(event, 'event_id')]))
}

/** A request of a person, as the endpoint makes it. */
async function requestOf(person: Person, query: Query): Promise<SyncRequest> {
  const { ctx } = server
  // A registered user.
  const userId = person.userId as UserId
  const userNumber = await ctx.numbers.user(userId)
  return {
    caller: { userId, userNumber, deviceId: null, isAdmin: false, isGuest: false, isSuspended: false, tokenHash: null },
    filter: await filterFrom(ctx, userNumber, typeof query['filter'] === 'string' ? query['filter'] : undefined),
    since: sinceFrom(ctx, typeof query['since'] === 'string' ? query['since'] : undefined),
    fullState: false,
    stateAfterKeys: query['use_state_after'] === true ? ['state_after'] : [],
    timeoutMs: 0,
  }
}

const userOf = ({ caller }: SyncRequest) => liveOf(server.ctx).users.load(caller.userId, caller.userNumber)

/** What the tail or the database says, as an answer. */
const objectFrom = ({ fields, next }: Answer): JsonObject => ({
  ...(JSON.parse(`{${fields.join(',')}}`) as JsonObject), // The members of an object.
  next_batch: syncToken(next),
})

/** Asks the database, even for what the tail knows. */
const askDatabase = (person: Person) => async (query: Query) => {
  const request = await requestOf(person, query)
  return objectFrom(await buildFromDatabase(server.ctx, request, await userOf(request)))
}

/** How many spans were answered without a promise. */
let answeredAtOnce = 0

/** The same span read both ways, and a third way where nothing happened in it but messages in one room. */
async function compareSources(follower: Follower, limit: number): Promise<void> {
  const { ctx } = server
  const { person, since } = follower
  for (const lazy of [false, true]) {
    const filter = JSON.stringify({ room: { timeline: { limit }, state: { lazy_load_members: lazy } } })
    const request = await requestOf(person, { filter, since, use_state_after: lazy })
    if (!request.since || !liveOf(ctx).tail.covers(request.since.position)) return
    const user = await userOf(request)
    const atOnce = answerMessagesAlone(ctx, request, request.since, user)
    const tailAnswer = await buildFromTail(ctx, request, request.since, user)
    if (atOnce) expect({ fields: atOnce.fields, next: atOnce.next }).toEqual(tailAnswer)
    if (atOnce && atOnce.fields.length > 0) answeredAtOnce += 1
    const fromTail = objectFrom(tailAnswer)
    const fromDatabase = objectFrom(await buildFromDatabase(ctx, request, user))
    expect(sorted(fromTail)).toEqual(sorted(fromDatabase))
  }
}

/** State and who changed have no order: the answers are compared without one. */
function sorted(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) {
    const items = value.map(item => sorted(item))
    return key === 'changed' || key === 'left' ? items.sort() : items
  }
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]: [string, unknown]) => {
      const isState = name === 'state' || name === 'state_after'
      return [name, isState ? byEventId(item) : sorted(item, name)]
    }),
  )
}

function byEventId(state: unknown): unknown {
  const { events } = state as { events: { event_id: string }[] } // The state of a room, as /sync has it.
  return [...events].sort((left, right) => left.event_id.localeCompare(right.event_id))
}

describe('a client that follows /sync', () => {
  for (let run = 0; run < runs; run++) {
    const seed = Number(process.env['LETHE_SYNC_SEED'] ?? 1) + run
    it(`sees every event once and in order, and the state as it is (seed ${seed})`, async () => {
      const pick = numbersFrom(seed)
      const [alice, bob, carol] = [await register(server), await register(server), await register(server)]
      const rooms = [
        await alice.createRoom({ preset: 'public_chat' }),
        await alice.createRoom({
          preset: 'public_chat',
          initial_state: [
            { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } },
          ],
        }),
        await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] }),
      ]
      for (const room of rooms) await bob.join(room)
      const followers = [
        new Follower(carol),
        new Follower(await carol.login(), { use_state_after: true }),
        new Follower(bob),
        new Follower(carol, {}, askDatabase(carol)),
        new Follower(bob, { use_state_after: true }, askDatabase(bob)),
      ]
      const sent: [string, string][] = []
      let joined = new Set<string>()
      const speakers = [alice, bob]
      const inRoom = async (person: Person, room: string, isIn: boolean) => {
        if (isIn === joined.has(room)) return
        joined = new Set(joined)
        if (isIn) {
          if (room === rooms[2]) await alice.invite(room, person.userId)
          await person.join(room)
          joined.add(room)
        } else {
          if (pick(2) === 0) await person.leave(room)
          else await alice.kick(room, person.userId)
          joined.delete(room)
        }
      }
      for (let step = 0; step < steps; step++) {
        const room = rooms[pick(rooms.length)] ?? ''
        const speaker = speakers[pick(2)] ?? alice
        switch (pick(14)) {
          case 0:
            await inRoom(carol, room, pick(3) > 0)
            break
          case 1:
            await alice.setState(room, 'm.room.topic', { topic: `topic ${step}` })
            break
          case 2: {
            const [inThat = '', eventId = ''] = sent[pick(sent.length)] ?? []
            if (inThat !== '') await alice.redact(inThat, eventId)
            break
          }
          case 3:
            await speaker.setState(
              room,
              'm.room.member',
              { membership: 'join', displayname: `name ${step}` },
              speaker.userId,
            )
            break
          case 4:
            if (joined.has(room)) sent.push([room, await carol.send(room, `carol ${step}`)])
            break
          case 5:
            for (const person of [bob, carol])
              if (joined.has(room) || person === bob) {
                const [inThat = '', eventId = ''] = sent.at(-1 - pick(5)) ?? []
                const type = pick(2) === 0 ? 'm.read' : 'm.read.private'
                if (inThat === room) await person.request('POST', path`/rooms/${room}/receipt/${type}/${eventId}`, {})
              }
            break
          case 6:
            if (joined.has(room))
              await carol.put(path`/user/${carol.userId}/rooms/${room}/account_data/com.example.n`, { step })
            await carol.put(path`/user/${carol.userId}/account_data/com.example.n`, { step })
            break
          case 7: {
            // Nobody waits for these: those who follow see some of them.
            const burst = [0, 1, 2, 3].map(index => speaker.send(room, `burst ${step} ${index}`))
            const moving = joined.has(room) && pick(2) === 0 ? carol.leave(room).then(() => joined.delete(room)) : null
            for (const follower of followers) await follower.follow(1 + pick(3))
            await Promise.all([...burst, moving])
            break
          }
          default: {
            const count = pick(6)
            for (let index = 0; index < count; index++) sent.push([room, await speaker.send(room, `${step} ${index}`)])
          }
        }
        for (const follower of followers) {
          if (pick(4) !== 0) continue
          const limit = 1 + pick(4)
          await compareSources(follower, limit)
          await follower.follow(limit)
        }
      }
      for (const follower of followers) {
        await follower.follow(3)
        for (const [roomId, room] of follower.rooms) {
          expect(room.timeline).toEqual(await expected(roomId, follower))
          if (room.membership !== 'join') continue
          expect(new Map([...room.state].sort())).toEqual(
            new Map([...(await serverState(follower.person, roomId))].sort()),
          )
        }
      }
      expect(answeredAtOnce).toBeGreaterThan(5)
    }, 60_000)
  }
})
