import { jsonObject, stringMember } from '../answers.ts'
import { hundredBytes, sendMessage, sync, type Person } from '../calls.ts'
import { type Answer, type Connection } from '../connection.ts'
import { ScenarioError } from '../errors.ts'
import { Failures, inParallel, realPacing, type LoadSample } from '../load.ts'
import { type Bench, type Scenario, Windows } from '../scenario.ts'
import { ascending, percentile } from '../statistics.ts'
import { sharedRoom } from './sends.ts'
import { firstToken } from './syncs.ts'

const pollMs = 60_000
/** Accounts beyond this many would cost minutes of password hashing; further clients are more polls of the same people. */
const peopleLimit = 500
/** How long a round may take before its message counts as lost. */
const roundLimitMs = 30_000

/** A client; `answer` is its newest, not yet parsed. */
type Waiter = {
  readonly person: Person
  readonly connection: Connection
  since: string
  readonly pollMs: number
  answer: Answer | null
}

/** One message, `clients` waiting `/sync` requests in its room; a sample is the time until the last one is answered. */
export function fanOut(clients: number): Scenario {
  const name = `fan-out-${clients}`
  const title = `one message to ${clients} waiting clients (last)`
  return {
    name,
    title,
    run: async bench => {
      const { plan } = bench.options
      const [sender, ...members] = await bench.people('crowd', Math.min(clients, peopleLimit) + 1)
      if (sender === undefined) return []
      const roomId = await sharedRoom(bench, [sender, ...members])
      const tokens = await inParallel(members, 8, person => firstToken(bench, person))
      const waiters = Array.from({ length: clients }, (_, index) => makeWaiter(bench, members, tokens, index))
      const outbox = bench.connect()
      // Opens the connections a few at a time, so that the server's queue of unaccepted ones does not overflow.
      await inParallel(waiters, 64, waiter =>
        waiter.connection.request({ ...sync(waiter.person, { since: waiter.since, timeoutMs: 0 }), keepBody: false }),
      )
      const stallsMs: number[] = []
      const round = async (): Promise<number | null> => {
        const marker = `${bench.uniqueName()}:`
        const waiting = Promise.all(waiters.map(waiter => waitFor(waiter, marker, performance.now() + pollMs)))
        // A poll may fail before anybody awaits it below, where the failure rises.
        waiting.catch(() => undefined)
        // Nothing on the outside tells when a poll has begun to wait, so they are given time to.
        await realPacing.sleep(100 + clients / 5)
        await bench.longestStall()
        const sentMs = performance.now()
        const call = sendMessage(sender, roomId, bench.uniqueName(), hundredBytes(marker))
        const [answer, seen] = await Promise.all([outbox.request(call), waiting])
        const stallMs = await bench.longestStall()
        if (stallMs !== null) stallsMs.push(stallMs)
        const lastMs = seen.reduce<number>((latest, endedMs) => Math.max(latest, endedMs), 0)
        return answer.status === 200 && lastMs - sentMs < roundLimitMs ? lastMs - sentMs : null
      }
      const rounds = async (): Promise<LoadSample> => {
        const startedMs = performance.now()
        const latenciesMs: number[] = []
        const failures = new Failures()
        for (let index = 0; index < plan.fanOutRounds; index += 1) {
          const lastMs = await round()
          if (lastMs === null) failures.add('a message did not reach everybody in time')
          else latenciesMs.push(lastMs)
        }
        return { latenciesMs, elapsedMs: performance.now() - startedMs, ...failures.summary() }
      }
      await round()
      stallsMs.length = 0
      const windows = new Windows(bench)
      for (let index = 0; index < plan.windows; index += 1) await windows.measure(rounds)
      const notes = [`${members.length} accounts; ${plan.fanOutRounds} messages a window`]
      const stalls = ascending(stallsMs)
      const [medianMs, longestMs] = [percentile(stalls, 50), percentile(stalls, 100)]
      if (medianMs !== null && longestMs !== null) {
        const longest = `${medianMs.toFixed(1)} ms (median of messages), ${longestMs.toFixed(1)} ms (worst)`
        notes.push(`the server's event loop stood still for at most ${longest}`)
      }
      const result = windows.result(name, title, notes)
      // The pauses between rounds are the generator's, so a rate would mean nothing.
      const { perSecond: _, ...figures } = result.figures
      return [{ ...result, figures }]
    },
  }
}

function makeWaiter(bench: Bench, members: readonly Person[], tokens: readonly string[], index: number): Waiter {
  const person = members[index % members.length]
  const since = tokens[index % members.length]
  if (person === undefined || since === undefined) throw new RangeError('nobody to wait')
  // Two polls of one device must not look like one request repeated, which some servers answer once.
  return {
    person,
    since,
    connection: bench.connect(),
    pollMs: pollMs + Math.floor(index / members.length),
    answer: null,
  }
}

/** Polls until the marker has arrived; returns when the answer that brought it ended. Parses it only in
 *  the next round, so that the answers of the others need not wait for that. */
async function waitFor(waiter: Waiter, marker: string, untilMs: number): Promise<number> {
  for (;;) {
    if (waiter.answer !== null) waiter.since = stringMember(jsonObject(waiter.answer), 'next_batch')
    const answer = await waiter.connection.request(
      sync(waiter.person, { since: waiter.since, timeoutMs: waiter.pollMs }),
    )
    if (answer.status !== 200) throw new ScenarioError(`a waiting /sync answered ${answer.status}`)
    waiter.answer = answer
    if (answer.text.includes(marker)) return answer.endedMs
    if (performance.now() > untilMs) throw new ScenarioError('a message did not reach everybody')
  }
}
