import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type Client } from 'pg'
import { routes } from '../../src/api/routes.ts'
import { isApiPath } from '../../src/http/cors.ts'
import { type Endpoint } from '../../src/http/endpoint.ts'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { type Exchange, type ExchangeRequest, exchange } from '../harness/exchange.ts'
import { register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { loadSpec } from '../harness/spec.ts'
import { bodyMutants, jsonMutants, placesOf, textMutants, withMutant } from './mutants.ts'
import { fillPath, parameterNames, type PathValues, sampleBody, sampleQuery } from './samples.ts'
import { makeWorld, withDatabase, type World } from './world.ts'

const spec = loadSpec()
/** An answer must come within this; a long poll that would wait longer is broken off. */
const patienceMs = 2_000

let server: TestServer
let world: World

beforeAll(async () => {
  // Work that goes on after a request would change the database behind the next one's back.
  // What shows content to administrators is to be asked wrongly too.
  server = await startTestServer({ loops: [], settings: { admin: { content_access: true } } })
  world = await makeWorld(server)
})

afterAll(() => server.close())

let victims = 0

async function victim(): Promise<PathValues> {
  victims += 1
  const { userId, deviceId } = await register(server, `victim${victims}`)
  return { userId, deviceId }
}

const nameOf = (endpoint: Endpoint) => `${endpoint.method} ${endpoint.paths[0] ?? ''}`

/** Every mutant of a request to an endpoint, one change each. */
function* mutantsOf(endpoint: Endpoint, values: PathValues): Generator<Omit<ExchangeRequest, 'token'>> {
  const { method, paths } = endpoint
  const [path = ''] = paths
  const body = sampleBody(endpoint, spec)
  const good = fillPath(path, values) + sampleQuery(endpoint)
  const whole = endpoint.takesStream ? 'bytes' : (body ?? undefined)
  for (const name of parameterNames(path)) {
    for (const mutant of textMutants) {
      const at = path.indexOf(`:${name}`)
      const target = `${fillPath(path.slice(0, at), values)}${mutant}${fillPath(path.slice(at + name.length + 1), values)}`
      yield { method, target: target + sampleQuery(endpoint), body: whole }
    }
  }
  for (const name of Object.keys(endpoint.query)) {
    const others = sampleQuery(endpoint).replace(new RegExp(`[?&]${name}=[^&]*`), '')
    const start = `${fillPath(path, values)}${others}${others === '' ? '?' : '&'}`.replace(/^([^?]*)&/, '$1?')
    yield { method, target: start, body: whole }
    for (const mutant of ['', ...textMutants]) yield { method, target: `${start}${name}=${mutant}`, body: whole }
    yield { method, target: `${start}${Array(150).fill(`${name}=a`).join('&')}`, body: whole }
  }
  if (body === null) return
  for (const mutant of bodyMutants) yield { method, target: good, body: mutant }
  for (const place of placesOf(body)) {
    yield { method, target: good, body: withMutant(body, place, null) }
    for (const mutant of jsonMutants) yield { method, target: good, body: withMutant(body, place, mutant) }
  }
}

/** Throws unless the answer is one that any input may get. */
function requireDecency(name: string, done: Exchange): void {
  const shown = `${name} answered ${done.status} ${done.bytes.toString('utf8').slice(0, 300)}`
  if (done.status >= 500) throw new Error(shown)
  if (done.status < 400) return
  if (/\bat \S+:\d+|node_modules/.test(done.bytes.toString('utf8'))) throw new Error(`${shown}: a stack`)
  const { json } = done
  // People read pages; programs read everything else.
  if (!isApiPath(done.target)) return
  if (!isJsonObject(json)) throw new Error(`${shown}: not JSON`)
  if (done.status === 401 && Array.isArray(json['flows'])) return
  if (typeof json['errcode'] !== 'string' || typeof json['error'] !== 'string') throw new Error(`${shown}: no errcode`)
}

/** Tables that a refused request may write to: the stages of an interactive authentication begin with a refusal, and what an
 *  administrator tries is written down before it is tried. */
const mayChange = new Set(['interactive_auth_sessions', 'admin_audit'])

/** Sees whether the database changes. The next transaction number moves when anything is written, and is cheap to ask for. */
class Watch {
  readonly #client: Client
  readonly #count: string
  #next = ''
  #counts = ''

  private constructor(client: Client, tables: readonly string[]) {
    this.#client = client
    const parts = tables.map(table => `SELECT '${table}' AS name, count(*), NULL::bigint AS position FROM ${table}`)
    this.#count = `${parts.join(' UNION ALL ')} UNION ALL SELECT 'head', 1, position FROM log_head ORDER BY name`
  }

  static async over(client: Client): Promise<Watch> {
    const tables = await client.query<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
    )
    return new Watch(client, tables.rows.map(row => row.name).filter(name => !mayChange.has(name))) // prettier-ignore
  }

  async #nextTransaction(): Promise<string> {
    const result = await this.#client.query<{ next: string }>(
      `SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS next`,
    )
    return result.rows[0]?.next ?? ''
  }

  /** Takes the state of things as it is now. */
  async take(): Promise<void> {
    const next = await this.#nextTransaction()
    if (next === this.#next) return
    this.#counts = JSON.stringify((await this.#client.query(this.#count)).rows)
    this.#next = await this.#nextTransaction()
  }

  /** True when something is not as it was when it was taken. */
  async hasChanged(): Promise<boolean> {
    if ((await this.#nextTransaction()) === this.#next) return false
    const before = this.#counts
    await this.take()
    return before !== this.#counts
  }
}

describe('bad input', () => {
  it.each(routes.map(endpoint => [nameOf(endpoint), endpoint] as const))(
    'is refused in JSON and changes nothing: %s',
    async (name, endpoint) => {
      const { alice } = world
      const roomId = await alice.createRoom({ preset: 'private_chat' })
      const values: Record<string, string> = {
        ...world.hers,
        roomId,
        roomIdOrAlias: roomId,
        eventId: await alice.send(roomId, 'hello'),
      }
      const isForAdmins = endpoint.auth === 'admin'
      // Somebody whom it does not matter to lose.
      if (isForAdmins) Object.assign(values, await victim())
      // Their own device, so that signing it out does not end the test.
      const signIn = () => (isForAdmins ? world.admin : alice).login()
      let caller = await signIn()
      await withDatabase(server, async client => {
        const watch = await Watch.over(client)
        for (const request of mutantsOf(endpoint, isForAdmins ? values : { ...values, deviceId: caller.deviceId })) {
          await watch.take()
          const done = await patiently(endpoint, { ...request, token: caller.accessToken })
          if (!done) continue
          requireDecency(`${name} (${request.target.slice(0, 200)} ${shown(request.body)})`, done)
          if (done.status >= 400 && (await watch.hasChanged())) {
            throw new Error(
              `${name} refused ${request.target.slice(0, 200)} ${shown(request.body)} and changed the database`,
            )
          }
          if (done.status === 401 && isUnknownToken(done)) caller = await signIn()
        }
      })
    },
    60_000,
  )

  it('has left the server as good as it was', async () => {
    const { alice } = world
    const roomId = await alice.createRoom()
    await alice.send(roomId, 'still here')
  })
})

function shown(body: ExchangeRequest['body']): string {
  if (body === undefined) return ''
  if (body instanceof Uint8Array) return `0x${Buffer.from(body).toString('hex').slice(0, 200)}`
  return (typeof body === 'string' ? body : JSON.stringify(body)).slice(0, 300)
}

function isUnknownToken(done: Exchange): boolean {
  return isJsonObject(done.json) && (done.json as JsonObject)['errcode'] === 'M_UNKNOWN_TOKEN'
}

/** The answer, or `null` for a long poll that went on waiting, as it may. */
async function patiently(endpoint: Endpoint, request: ExchangeRequest): Promise<Exchange | null> {
  const signal = AbortSignal.timeout(patienceMs)
  try {
    return await exchange(server.url, { ...request, signal })
  } catch (error) {
    if (signal.aborted && 'timeout' in endpoint.query) return null
    throw error
  }
}

describe('the test of bad input', () => {
  it('replaces one value at a time', () => {
    const body = { a: { b: [1, 2] }, c: 'x' }
    expect(placesOf(body)).toEqual([['a'], ['a', 'b'], ['a', 'b', 0], ['a', 'b', 1], ['c']])
    expect(withMutant(body, ['a', 'b', 0], '1e400')).toBe('{"a":{"b":[1e400,2]},"c":"x"}')
    expect(withMutant(body, ['c'], null)).toBe('{"a":{"b":[1,2]}}')
  })

  it('sees a change of the database', async () => {
    await withDatabase(server, async client => {
      const watch = await Watch.over(client)
      await watch.take()
      expect(await watch.hasChanged()).toBe(false)
      await world.alice.send(String(world.hers['roomId']), 'a change')
      expect(await watch.hasChanged()).toBe(true)
    })
  })

  it('covers every endpoint with some mutants', () => {
    const counts = routes.map(endpoint => [...mutantsOf(endpoint, world.hers)].length)
    expect(counts.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(5_000)
  })
})
