import { isObject, jsonObject, listMember, objectMember, stringMember, type JsonObject } from '../answers.ts'
import { hundredBytes, joinRoom, sendMessage, sync, type Person } from '../calls.ts'
import { ScenarioError } from '../errors.ts'
import { closedLoop, inParallel, realPacing } from '../load.ts'
import { type Bench, emptyResult, measureWindows, type Scenario, skippedResult } from '../scenario.ts'
import { makeRooms } from './rooms.ts'

/** A token from which nothing older is told; the cheapest first sync there is. */
export async function firstToken(bench: Bench, person: Person): Promise<string> {
  const filter = { room: { timeline: { limit: 1 }, state: { lazy_load_members: true } } }
  return stringMember(await bench.settle(sync(person, { timeoutMs: 0, filter })), 'next_batch')
}

const eventsPerRoom = 20

/** The first sync of somebody with many rooms, 20 events each, members loaded lazily; one client at a time. */
export const firstSyncScenario: Scenario = {
  name: 'first-sync',
  title: 'first sync, 100 rooms',
  run: async bench => {
    const { syncRooms } = bench.options.plan
    const title = `first sync, ${syncRooms} rooms of ${eventsPerRoom} events`
    const [reader, writer] = await bench.people('readers', 2)
    if (reader === undefined || writer === undefined) return []
    const roomIds = await makeRooms(bench, writer, syncRooms, 'public_chat')
    await inParallel(roomIds, 8, async roomId => {
      await bench.settle(joinRoom(reader, roomId))
      for (let index = 0; index < eventsPerRoom; index += 1) {
        const sender = index % 2 === 0 ? writer : reader
        await bench.settle(sendMessage(sender, roomId, bench.uniqueName(), hundredBytes()))
      }
    })
    const connection = bench.connect()
    const first = await connection.request(sync(reader, { timeoutMs: 0, filter: firstSyncFilter(bench.uniqueName()) }))
    const rooms = Object.values(objectMember(objectMember(jsonObject(first), 'rooms'), 'join'))
    const full = rooms.filter(room => timelineLength(room) === eventsPerRoom)
    if (full.length !== syncRooms) {
      throw new ScenarioError(
        `the first sync told of ${full.length} rooms with ${eventsPerRoom} events, not ${syncRooms}`,
      )
    }
    const load = (durationMs: number) =>
      closedLoop({
        workers: 1,
        durationMs,
        operation: () => {
          const call = sync(reader, { timeoutMs: 0, filter: firstSyncFilter(bench.uniqueName()) })
          return connection.request({ ...call, keepBody: false })
        },
      })
    const sizeKilobytes = Math.round(Buffer.byteLength(first.text) / 1_000)
    return [await measureWindows(bench, 'first-sync', title, load, [`${sizeKilobytes} kB a response, not compressed`])]
  },
}

/** Each request excludes a type that nobody has, so that a server that keeps answers cannot give one twice. */
function firstSyncFilter(unique: string): JsonObject {
  return {
    room: { timeline: { limit: eventsPerRoom }, state: { lazy_load_members: true } },
    account_data: { not_types: [unique] },
  }
}

function timelineLength(room: unknown): number {
  return isObject(room) ? listMember(objectMember(room, 'timeline'), 'events').length : 0
}

const idleSyncers = 16

/** How often a second clients may ask and hear that nothing happened. */
export const nothingNewScenario: Scenario = {
  name: 'sync-nothing-new',
  title: `/sync with nothing new, ${idleSyncers} clients`,
  run: async bench => {
    const people = await bench.people('crowd', idleSyncers)
    const clients = await inParallel(people, 8, async person => {
      const since = await firstToken(bench, person)
      return { connection: bench.connect(), call: { ...sync(person, { since, timeoutMs: 0 }), keepBody: false } }
    })
    const load = (durationMs: number) =>
      closedLoop({
        workers: clients.length,
        durationMs,
        operation: worker => {
          const client = clients[worker]
          return client === undefined ? null : client.connection.request(client.call)
        },
      })
    return [await measureWindows(bench, 'sync-nothing-new', nothingNewScenario.title, load)]
  },
}

const pollMs = 55_000
const pollersLimit = 200
const settleMs = 4_000
const waveOfPolls = 64

/** Memory of a waiting `/sync`: the growth of the first watched process, once, since a second round would reuse the first's heap. */
export const idlePollsScenario: Scenario = {
  name: 'idle-polls',
  title: 'memory of idle long polls',
  run: async bench => {
    const { idlePolls } = bench.options.plan
    const title = `${idlePolls} idle long polls`
    if (bench.sampleProcesses().length === 0) return [skippedResult('idle-polls', title, 'needs --pid')]
    const people = await bench.people('crowd', Math.min(idlePolls, pollersLimit))
    const tokens = await inParallel(people, 8, person => firstToken(bench, person))
    await realPacing.sleep(settleMs)
    const before = residentBytes(bench)
    let answered = 0
    const polls = Array.from({ length: idlePolls }, (_, index) => {
      const person = people[index % people.length]
      const since = tokens[index % people.length]
      if (person === undefined || since === undefined) throw new RangeError('nobody to wait')
      const timeoutMs = pollMs + Math.floor(index / people.length)
      return { connection: bench.connect(), call: { ...sync(person, { since, timeoutMs }), keepBody: false } }
    })
    for (const [index, poll] of polls.entries()) {
      // In waves, so that the server's queue of unaccepted connections does not overflow.
      if (index % waveOfPolls === 0) await realPacing.sleep(10)
      const count = (): void => {
        answered += 1
      }
      // Cut off when the scenario closes its connections, which is how these polls are meant to end.
      poll.connection.request(poll.call).then(count, () => undefined)
    }
    await realPacing.sleep(settleMs + idlePolls)
    const kibibytesPerPoll = (residentBytes(bench) - before) / idlePolls / 1_024
    const waiting = idlePolls - answered
    if (waiting < idlePolls) throw new ScenarioError(`only ${waiting} of ${idlePolls} polls were left waiting`)
    const notes = [`${people.length} accounts; one round`]
    return [{ ...emptyResult('idle-polls', title), operations: waiting, figures: { kibibytesPerPoll }, notes }]
  },
}

function residentBytes(bench: Bench): number {
  return bench.sampleProcesses()[0]?.residentBytes ?? 0
}
