import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { testDatabase, type TestDatabase } from '../harness/database.ts'
import { Balancer } from './balancer.ts'
import { FaultClient, follow } from './homeserver-client.ts'
import { dataFolder, type ServerProcess, startServerProcess } from './server-process.ts'

const rounds = Number(process.env['LETHE_FAULT_ROUNDS'] ?? 2)
const writers = 6

let database: TestDatabase
let folder: Awaited<ReturnType<typeof dataFolder>>
let balancer: Balancer
let replicas: ServerProcess[]

beforeAll(async () => {
  database = await testDatabase()
  folder = await dataFolder()
  balancer = await Balancer.open()
  const first = await startServerProcess(database, folder.path)
  replicas = [first, await startServerProcess(database, folder.path)]
  balancer.targets = replicas.map(({ url }) => url)
}, 60_000)
afterAll(async () => {
  balancer?.close()
  for (const replica of replicas ?? []) await replica.end('SIGKILL')
  await database?.drop()
  await folder?.remove()
})

describe('two replicas that are restarted in turn under load', () => {
  it(
    'fail no request, answer those who wait, and end in time',
    async () => {
      const clients = [0, 1].map(() => new FaultClient(() => balancer.url))
      const [writer, reader] = clients as [FaultClient, FaultClient] // There are two.
      await writer.register('alice')
      reader.token = writer.token
      const roomId = String((await writer.insist('POST', '/createRoom', { preset: 'private_chat' }))['room_id'])
      const acknowledged = new Map<string, string>()
      let isOver = false
      let isWritten = false
      const following = follow(reader, roomId, () => isWritten)
      const writing = Promise.all(
        Array.from({ length: writers }, async (_, index) => {
          for (let number = 0; !isOver; number++) {
            const body = `${index}-${number}`
            acknowledged.set(body, String((await writer.send(roomId, body))['event_id']))
          }
        }),
      )
      for (let round = 0; round < rounds; round++) {
        const [oldest, ...others] = replicas
        if (!oldest) throw new Error('there are no replicas')
        const before = acknowledged.size
        while (acknowledged.size < before + 200)
          await Promise.race([writing, new Promise(resolve => setTimeout(resolve, 5))])
        const startedMs = performance.now()
        expect(await oldest.end('SIGTERM')).toBe(0)
        expect(performance.now() - startedMs).toBeLessThan(25_000)
        replicas = [...others, await startServerProcess(database, folder.path)]
        balancer.targets = replicas.map(({ url }) => url)
      }
      isOver = true
      await writing
      isWritten = true
      const seen = await following
      for (const client of clients) {
        expect(client.wrong).toEqual([])
        expect(client.putOff).toEqual([])
      }
      const stored = await writer.messages(roomId)
      expect(stored).toHaveLength(acknowledged.size)
      expect(new Map(stored.map(({ body, eventId }) => [body, eventId]))).toEqual(acknowledged)
      expect(seen).toEqual(stored.slice(stored.length - seen.length))
      expect(seen.length).toBeGreaterThan(stored.length / 2)
    },
    120_000 + rounds * 30_000,
  )
})
