import { setTimeout as sleep } from 'node:timers/promises'
import { randomBytes } from 'node:crypto'
import { describeRefusal, jsonObject, retryAfterMs, type JsonObject } from './answers.ts'
import { type Person } from './calls.ts'
import { Connection, type Answer, type Call } from './connection.ts'
import { ScenarioError } from './errors.ts'
import { inParallel } from './load.ts'
import { type Options } from './options.ts'
import { personOf, register } from './register.ts'

const setupConnections = 8
/** The most that one setup request waits for rate limits, all its tries together. */
const patienceLimitMs = 120_000

/** The accounts of this run, in groups, and the connections over which everything is set up. */
export class Population {
  readonly #options: Options
  readonly #runId = randomBytes(5).toString('hex')
  readonly #groups = new Map<string, Person[]>()
  readonly #connections: Connection[]
  #turn = 0
  #names = 0
  #waitsForRateLimits = 0

  constructor(options: Options) {
    this.#options = options
    this.#connections = Array.from({ length: setupConnections }, () => new Connection(options.origin))
  }

  /** How often setup was told to slow down. */
  get waitsForRateLimits(): number {
    return this.#waitsForRateLimits
  }

  /** A name that nothing else in this run, and hardly anything in another one, has. */
  uniqueName(): string {
    this.#names += 1
    return `bench-${this.#runId}-${this.#names}`
  }

  /** See `Bench.settle`. */
  async settle(call: Call): Promise<JsonObject> {
    const answer = await this.#patientSend({ ...call, keepBody: true })
    if (answer.status < 200 || answer.status >= 300) {
      // The path's parameters are left out: they are long and say nothing.
      const path = call.path.split('?')[0]?.replaceAll(/%[0-9A-F]{2}[^/]*/g, '…')
      throw new ScenarioError(`setup: ${call.method} ${path} answered ${describeRefusal(answer)}`)
    }
    return jsonObject(answer)
  }

  /** See `Bench.people`. */
  async people(group: string, count: number): Promise<readonly Person[]> {
    const existing = this.#groups.get(group) ?? []
    const missing = Array.from({ length: Math.max(0, count - existing.length) }, () => this.uniqueName())
    const added = await inParallel(missing, setupConnections, name => this.#register(name))
    for (const person of added) this.welcome(group, person)
    return (this.#groups.get(group) ?? []).slice(0, count)
  }

  /** See `Bench.welcome`. */
  welcome(group: string, person: Person): void {
    const members = this.#groups.get(group)
    if (members === undefined) this.#groups.set(group, [person])
    else members.push(person)
  }

  /** Drops the setup connections. */
  async close(): Promise<void> {
    await Promise.all(this.#connections.map(connection => connection.close()))
  }

  async #register(username: string): Promise<Person> {
    const password = randomBytes(18).toString('base64url')
    const send = (call: Call): Promise<Answer> => this.#patientSend(call)
    const answer = await register(send, this.#options.registration, username, password)
    if (answer.status !== 200) throw new ScenarioError(`setup: registration answered ${describeRefusal(answer)}`)
    return personOf(answer)
  }

  async #patientSend(call: Call): Promise<Answer> {
    let waitedMs = 0
    for (;;) {
      this.#turn += 1
      const connection = this.#connections[this.#turn % setupConnections]
      if (connection === undefined) throw new ScenarioError('setup has no connection')
      const answer = await connection.request(call)
      if (answer.status !== 429) return answer
      // A little more than was asked for, so that many waiters do not return in the very same instant.
      const pauseMs = Math.max(1, retryAfterMs(answer)) * (1 + Math.random() / 10)
      waitedMs += pauseMs
      this.#waitsForRateLimits += 1
      if (waitedMs > patienceLimitMs)
        throw new ScenarioError('setup: the server keeps answering 429; switch its rate limits off')
      await sleep(pauseMs)
    }
  }
}
