import { jsonObject, stringMember } from '../answers.ts'
import { hundredBytes, sendMessage, sync, type Person } from '../calls.ts'
import { type Connection } from '../connection.ts'
import { Failures, inParallel, openLoop, realPacing, type LoadSample } from '../load.ts'
import { type Bench, type Scenario, Windows } from '../scenario.ts'
import { sharedRoom } from './sends.ts'
import { firstToken } from './syncs.ts'

const pollMs = 30_000
/** How long after the last send a message may still arrive; one that has not is lost. */
const graceMs = 10_000

type Pair = { readonly sender: Person; readonly receiver: Person; readonly roomId: string }

/** From the appointed time of a send to the end of the answer to the other person's waiting `/sync`; open loop. */
export const visibleScenario: Scenario = {
  name: 'send-visible',
  title: 'send to visible in another /sync, open loop',
  run: async bench => {
    const { plan } = bench.options
    const people = await bench.people('crowd', plan.visiblePairs * 2)
    const pairs = await inParallel(Array.from({ length: plan.visiblePairs }), 4, (_, index) =>
      makePair(bench, people[index * 2], people[index * 2 + 1]),
    )
    const inbox = new Inbox(`${bench.uniqueName()}:`)
    const senders = pairs.map(pair => ({ pair, connection: bench.connect() }))
    const receivers = await inParallel(pairs, 8, async pair => ({
      pair,
      since: await firstToken(bench, pair.receiver),
      connection: bench.connect(),
    }))
    const loops = receivers.map(({ pair, since, connection }) => receive(inbox, pair, since, connection))
    const offer = async (durationMs: number): Promise<LoadSample> => {
      const count = Math.max(1, Math.round((plan.visiblePerSecond * durationMs) / 1_000))
      const watch = inbox.open()
      const startedMs = performance.now()
      await openLoop({
        perSecond: plan.visiblePerSecond,
        count,
        fire: (index, countsFromMs) => {
          const client = senders[index % senders.length]
          if (client === undefined) return
          const { sender, roomId } = client.pair
          const text = hundredBytes(watch.expect(countsFromMs))
          const answer = client.connection.request(sendMessage(sender, roomId, bench.uniqueName(), text))
          void watch.failures.watch(answer, () => undefined)
        },
      })
      const elapsedMs = performance.now() - startedMs
      const giveUpMs = performance.now() + graceMs
      while (watch.outstanding > 0 && performance.now() < giveUpMs) await realPacing.sleep(20)
      return watch.close(elapsedMs)
    }
    await offer(plan.warmUpMs)
    const windows = new Windows(bench)
    for (let index = 0; index < plan.windows; index += 1) await windows.measure(() => offer(plan.windowMs))
    inbox.isStopped = true
    await Promise.all(receivers.map(receiver => receiver.connection.close()))
    await Promise.all(loops)
    const notes = [`${plan.visiblePerSecond}/s offered over ${plan.visiblePairs} rooms of two`]
    if (inbox.failures > 0) notes.push(`${inbox.failures} polls of receivers failed`)
    return [windows.result('send-visible', visibleScenario.title, notes)]
  },
}

async function makePair(bench: Bench, sender: Person | undefined, receiver: Person | undefined): Promise<Pair> {
  if (sender === undefined || receiver === undefined) throw new RangeError('a pair needs two people')
  return { sender, receiver, roomId: await sharedRoom(bench, [sender, receiver]) }
}

/** Polls until the connection is closed. */
async function receive(inbox: Inbox, pair: Pair, firstSince: string, connection: Connection): Promise<void> {
  let since = firstSince
  for (let failures = 0; failures < 100;) {
    try {
      const answer = await connection.request(sync(pair.receiver, { since, timeoutMs: pollMs }))
      since = stringMember(jsonObject(answer), 'next_batch')
      inbox.seen(answer.text, answer.endedMs)
    } catch {
      // Closed by the scenario's end, or a refusal: the messages that it costs are counted as lost.
      if (inbox.isStopped) return
      inbox.failures += 1
      failures += 1
      await realPacing.sleep(10)
    }
  }
}

/** Matches the markers in delivered messages with the times at which they were due. */
class Inbox {
  failures = 0
  /** The last window is over; polls that fail from now on were cut off. */
  isStopped = false
  readonly #pattern: RegExp
  readonly #prefix: string
  readonly #dueMs = new Map<number, number>()
  #latenciesMs: number[] = []
  #next = 0

  /** `prefix` begins every marker of this run; letters, digits, `-` and `:` only, so it is a pattern of itself. */
  constructor(prefix: string) {
    this.#prefix = prefix
    this.#pattern = new RegExp(`${prefix}(\\d+):`, 'g')
  }

  /** Notes every marker in the text of a `/sync` answer that ended at `endedMs`. A marker counts once. */
  seen(text: string, endedMs: number): void {
    for (const match of text.matchAll(this.#pattern)) {
      const index = Number(match[1])
      const dueMs = this.#dueMs.get(index)
      if (dueMs === undefined) continue
      this.#dueMs.delete(index)
      this.#latenciesMs.push(endedMs - dueMs)
    }
  }

  /** Begins a window. */
  open() {
    this.#latenciesMs = []
    this.#dueMs.clear()
    const outstanding = (): number => this.#dueMs.size
    const failures = new Failures()
    return {
      failures,
      get outstanding() {
        return outstanding()
      },
      /** Registers a message that was due at `dueMs`; returns the marker to put in it. */
      expect: (dueMs: number): string => {
        this.#next += 1
        this.#dueMs.set(this.#next, dueMs)
        return `${this.#prefix}${this.#next}:`
      },
      /** Ends the window. What has not arrived is an error. */
      close: (elapsedMs: number): LoadSample => {
        for (let lost = 0; lost < this.#dueMs.size; lost += 1) failures.add('a message did not arrive')
        return { latenciesMs: this.#latenciesMs, elapsedMs, ...failures.summary() }
      },
    }
  }
}
