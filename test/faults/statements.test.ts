import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { weakenPasswordHashes } from '../../src/accounts/passwords.ts'
import { type Exchange } from '../harness/exchange.ts'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { type Fate, NthStatement, PostgresProxy } from '../harness/postgres-proxy.ts'
import { isJsonObject } from '../../src/protocol/json.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { type Cast, makeCast, type Operation, operations } from './operations.ts'
import { dataFolder } from './server-process.ts'
import { difference, TableCounter } from './table-counts.ts'

/** Whether all fates are tried, or those alone that cover the others. */
const isLong = process.env['LETHE_FAULT_FORM'] === 'long'

/** More statements than any operation sends. */
const statementLimit = 120

let database: TestDatabase
let folder: Awaited<ReturnType<typeof dataFolder>>
let proxy: PostgresProxy
let server: TestServer
let counter: TableCounter
let cast: Cast

beforeAll(async () => {
  database = await testDatabase()
  folder = await dataFolder()
  proxy = await PostgresProxy.open(database)
  server = await startTestServer({ on: { database: proxy.database, dataDir: folder.path } })
  weakenPasswordHashes(server.ctx, { memoryCost: 1024, timeCost: 1, parallelism: 1 })
  counter = await TableCounter.open(database)
  cast = await makeCast(server)
})
afterAll(async () => {
  await server.close()
  await proxy.close()
  await counter.close()
  await database.drop()
  await folder.remove()
})

const errcodeOf = ({ json }: Exchange): string => (isJsonObject(json) ? String(json['errcode']) : 'no JSON')
const answerOf = (done: Exchange): string => (done.status === 200 ? '200' : `${done.status} ${errcodeOf(done)}`)

/** Attempts the operation with the n-th of its statements failing; false when it sends fewer. */
async function attempt(operation: Operation, nth: number, fate: Fate, done: object): Promise<boolean> {
  const ask = await operation.prepare(cast)
  const before = await counter.count()
  const fault = new NthStatement(nth, fate)
  proxy.decide = fault.decide
  const first = await ask()
  proxy.decide = () => 'pass'
  const after = difference(before, await counter.count())
  const where = { operation: operation.name, nth, fate }
  // Nothing but "try again" is said of a failure.
  expect({ ...where, answer: answerOf(first) }).toEqual({ ...where, answer: expect.stringMatching(/^(200|503 M_UNKNOWN)$/) }) // prettier-ignore
  // All of it, or nothing.
  const isDone = Object.keys(after).length > 0
  if (operation.inSteps !== true) expect({ ...where, after }).toEqual({ ...where, after: isDone ? done : {} })
  if (first.status === 200) expect({ ...where, isDone }).toEqual({ ...where, isDone: true })

  // The next request works, and finds out what became of the first.
  const second = await ask()
  const allowed = isDone ? (operation.repeated ?? []) : []
  const isAllowed = second.status === 200 || allowed.includes(errcodeOf(second))
  expect({ ...where, second: answerOf(second), isAllowed }).toMatchObject({ isAllowed: true })
  if (!isDone || operation.isNew !== true) {
    expect({ ...where, after: difference(before, await counter.count()) }).toEqual({ ...where, after: done })
  }
  return fault.hasStruck
}

const fates: readonly (readonly [string, Fate])[] = [
  ['is done, but the answer is lost', 'cut_after'],
  ['is broken off for taking too long', { sqlstate: '57014' }],
  ...(isLong
    ? ([
        ['does not reach the database', 'cut_before'],
        ['is refused for want of space', { sqlstate: '53100' }],
      ] as const)
    : []),
]

describe.each(operations.map(operation => [operation.name, operation] as const))('%s', (_, operation) => {
  it.each(fates)(
    'happens whole or not at all when any one statement %s',
    async (_meaning, fate) => {
      // The first of its kind may make rows that later ones find there.
      expect((await (await operation.prepare(cast))()).status).toBe(200)
      const ask = await operation.prepare(cast)
      const before = await counter.count()
      expect((await ask()).status).toBe(200)
      const done = difference(before, await counter.count())
      expect(done).not.toEqual({})
      let nth = 1
      while (await attempt(operation, nth, fate, done)) {
        nth += 1
        if (nth > statementLimit) throw new Error('the operation comes to no end')
      }
      // Caches answer what could be asked again, but nothing is done without the database.
      expect(nth).toBeGreaterThan(1)
    },
    120_000,
  )
})
