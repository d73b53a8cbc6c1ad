import { stringMember } from '../answers.ts'
import { createRoom, joinRoom, type Person } from '../calls.ts'
import { closedLoop, inParallel } from '../load.ts'
import { type Bench, measureWindows, type Scenario } from '../scenario.ts'

const creators = 4

/** Makes `count` rooms of the given person, a few at a time; returns their IDs. */
export async function makeRooms(
  bench: Bench,
  creator: Person,
  count: number,
  preset: 'private_chat' | 'public_chat',
): Promise<string[]> {
  const turns = Array.from({ length: count })
  return inParallel(turns, 4, async () => stringMember(await bench.settle(createRoom(creator, preset)), 'room_id'))
}

/** Room creation: about eight events each. */
export const createScenario: Scenario = {
  name: 'create-room',
  title: `create rooms, ${creators} people`,
  run: async bench => {
    const people = await bench.people('crowd', creators)
    const clients = people.map(person => ({ person, connection: bench.connect() }))
    const load = (durationMs: number) =>
      closedLoop({
        workers: clients.length,
        durationMs,
        operation: worker => {
          const client = clients[worker]
          return client === undefined
            ? null
            : client.connection.request({ ...createRoom(client.person, 'private_chat'), keepBody: false })
        },
      })
    return [await measureWindows(bench, 'create-room', createScenario.title, load)]
  },
}

const joiners = 16
const peoplePerJoiner = 6
const publicRooms = 60

/** First joins of public rooms; each person joins each room once, so what is measured never repeats. */
export const joinScenario: Scenario = {
  name: 'join',
  title: `join public rooms, ${joiners} at once`,
  run: async bench => {
    const [owner] = await bench.people('owner', 1)
    if (owner === undefined) return []
    const people = await bench.people('joiners', joiners * peoplePerJoiner)
    const roomIds = await makeRooms(bench, owner, publicRooms, 'public_chat')
    const clients = Array.from({ length: joiners }, (_, joiner) => ({
      connection: bench.connect(),
      pairs: pairs(people.slice(joiner * peoplePerJoiner, (joiner + 1) * peoplePerJoiner), roomIds),
    }))
    // Every window may use its share of the pairs, so that a fast server does not find the last window empty.
    const share = Math.floor((publicRooms * peoplePerJoiner) / (bench.options.plan.windows + 1))
    const load = (durationMs: number) => {
      const left = clients.map(() => share)
      return closedLoop({
        workers: joiners,
        durationMs,
        operation: worker => {
          const remaining = left[worker] ?? 0
          const client = clients[worker]
          const pair = remaining > 0 ? client?.pairs.pop() : undefined
          if (client === undefined || pair === undefined) return null
          left[worker] = remaining - 1
          return client.connection.request(joinRoom(pair.person, pair.roomId))
        },
      })
    }
    return [await measureWindows(bench, 'join', joinScenario.title, load)]
  },
}

/** All pairs, person by person within a room, so that a room's joins are spread over time. */
function pairs(people: readonly Person[], roomIds: readonly string[]): { person: Person; roomId: string }[] {
  return roomIds.flatMap(roomId => people.map(person => ({ person, roomId })))
}
