import { stringMember } from '../answers.ts'
import { createRoom, hundredBytes, joinRoom, sendMessage, type Person } from '../calls.ts'
import { closedLoop, inParallel } from '../load.ts'
import { type Bench, measureWindows, type Scenario } from '../scenario.ts'

type Sender = { readonly person: Person; readonly roomId: string }

/** `senders` people, each in a room of their own, each sending the next message when the last is answered. */
export function ownRooms(senders: number): Scenario {
  const name = `send-${senders}`
  const title = senders === 1 ? 'send, 1 sender' : `send, ${senders} senders in rooms of their own`
  return {
    name,
    title,
    run: async bench => {
      const people = await bench.people('crowd', senders)
      const rooms = await inParallel(people, 8, person => ownRoom(bench, person))
      return [await measureSends(bench, name, title, rooms)]
    },
  }
}

/** Several people in one room, all sending. */
export function oneRoom(senders: number): Scenario {
  const name = 'send-one-room'
  const title = `send, ${senders} senders in one room`
  return {
    name,
    title,
    run: async bench => {
      const people = await bench.people('crowd', senders)
      const roomId = await sharedRoom(bench, people)
      return [
        await measureSends(
          bench,
          name,
          title,
          people.map(person => ({ person, roomId })),
        ),
      ]
    },
  }
}

/** A new public room that all the given people are in; the first of them made it. */
export async function sharedRoom(bench: Bench, people: readonly Person[]): Promise<string> {
  const [creator, ...others] = people
  if (creator === undefined) throw new RangeError('a room needs somebody')
  const roomId = stringMember(await bench.settle(createRoom(creator, 'public_chat')), 'room_id')
  await inParallel(others, 8, person => bench.settle(joinRoom(person, roomId)))
  return roomId
}

async function ownRoom(bench: Bench, person: Person): Promise<Sender> {
  return { person, roomId: stringMember(await bench.settle(createRoom(person, 'public_chat')), 'room_id') }
}

function measureSends(bench: Bench, name: string, title: string, senders: readonly Sender[]) {
  const text = hundredBytes()
  const clients = senders.map(sender => ({ sender, connection: bench.connect() }))
  const load = (durationMs: number) =>
    closedLoop({
      workers: clients.length,
      durationMs,
      operation: worker => {
        const client = clients[worker]
        if (client === undefined) return null
        const { person, roomId } = client.sender
        return client.connection.request(sendMessage(person, roomId, bench.uniqueName(), text))
      },
    })
  return measureWindows(bench, name, title, load)
}
