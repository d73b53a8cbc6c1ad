import { listMember, stringMember } from '../answers.ts'
import { hundredBytes, olderMessages, sendMessage } from '../calls.ts'
import { ScenarioError } from '../errors.ts'
import { closedLoop, inParallel } from '../load.ts'
import { measureWindows, type Scenario } from '../scenario.ts'
import { makeRooms } from './rooms.ts'

const pages = 4
const eventsPerPage = 100

/** Pages of 100 older events, one client at a time, in turn from several places in the room. */
export const paginationScenario: Scenario = {
  name: 'back-pagination',
  title: `back-pagination, ${eventsPerPage} events`,
  run: async bench => {
    const [reader] = await bench.people('readers', 1)
    if (reader === undefined) return []
    const [roomId] = await makeRooms(bench, reader, 1, 'public_chat')
    if (roomId === undefined) return []
    await inParallel(Array.from({ length: pages * eventsPerPage }), 8, () =>
      bench.settle(sendMessage(reader, roomId, bench.uniqueName(), hundredBytes())),
    )
    const places: (string | null)[] = []
    for (let from: string | null = null; places.length < pages;) {
      const page = await bench.settle(olderMessages(reader, roomId, from))
      const { length } = listMember(page, 'chunk')
      if (length !== eventsPerPage) throw new ScenarioError(`a page had ${length} events, not ${eventsPerPage}`)
      places.push(from)
      from = stringMember(page, 'end')
    }
    const connection = bench.connect()
    let turn = 0
    const load = (durationMs: number) =>
      closedLoop({
        workers: 1,
        durationMs,
        operation: () => {
          turn += 1
          const call = olderMessages(reader, roomId, places[turn % places.length] ?? null)
          return connection.request({ ...call, keepBody: false })
        },
      })
    return [await measureWindows(bench, 'back-pagination', paginationScenario.title, load)]
  },
}
