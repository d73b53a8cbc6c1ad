import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile, chmod } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { silentLogger } from '../../src/log.ts'
import { type JsonObject } from '../../src/protocol/json.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts'
import { at, objectsAt, Person, register, text } from '../harness/people.ts'
import { type ServerProcess, startServerProcess } from './server-process.ts'

const run = promisify(execFile)

/** Each test starts Postgres and the server several times. */
jest.setTimeout(120_000)

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lethe-history-'))
  await chmod(folder, 0o755)
  ends.push(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function startPostgres(dataDir: string, settings: Record<string, string> = {}): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ dataDir, log: silentLogger, fsync: false, settings })
  ends.push(() => postgres.stop())
  return postgres
}

/** A backup of a cluster that is not running, with owners and modes as they are. */
async function copy(from: string, to: string): Promise<void> {
  await mkdir(to)
  await chmod(to, 0o755)
  await run('cp', ['-a', join(from, 'postgres'), to])
}

function socketOf(postgres: EmbeddedPostgres): string {
  if ('url' in postgres.connection) throw new Error('an embedded Postgres has no URL')
  return postgres.connection.host
}

const urlAt = (folder: string) => `postgres://lethe@${encodeURIComponent(folder)}:5432/lethe`

async function startServer(url: string, dataDir: string, port = 0): Promise<ServerProcess> {
  const server = await startServerProcess({ url }, dataDir, port)
  ends.push(async () => {
    if (server.child.exitCode === null && server.child.signalCode === null) await server.end('SIGKILL')
  })
  return server
}

const bodies = (sync: JsonObject, room: string) =>
  objectsAt(sync, 'rooms', 'join', room, 'timeline', 'events').flatMap(event => at(event, 'content', 'body') ?? [])
const knowsRoomAnew = (sync: JsonObject, room: string) =>
  ['state', 'timeline']
    .flatMap(part => objectsAt(sync, 'rooms', 'join', room, part, 'events'))
    .some(event => text(event, 'type') === 'm.room.create')

/** The same session, at a server that has started again elsewhere. */
function movedTo(url: string, { accessToken, userId, deviceId, password }: Person): Person {
  return new Person(url, { access_token: accessToken, user_id: userId, device_id: deviceId }, password)
}

describe('a server whose past was lost', () => {
  it('skips nothing for clients that have seen what a restored backup has not', async () => {
    const folder = await newFolder()
    const [original, backup, keys] = [join(folder, 'original'), join(folder, 'backup'), join(folder, 'keys')]
    let postgres = await startPostgres(original)
    let server = await startServer(urlAt(socketOf(postgres)), keys)
    let alice = await register(server, 'alice')
    const room = await alice.createRoom({})
    await alice.send(room, 'kept')
    const before = await alice.now()

    expect(await server.end('SIGTERM')).toBe(0)
    await postgres.stop()
    await copy(original, backup)

    postgres = await startPostgres(original)
    server = await startServer(urlAt(socketOf(postgres)), keys)
    alice = await movedTo(server.url, alice).login()
    for (let index = 0; index < 5; index++) await alice.send(room, `lost ${index}`)
    const lost = await alice.now()
    expect(await server.end('SIGTERM')).toBe(0)
    await postgres.stop()

    postgres = await startPostgres(backup)
    server = await startServer(urlAt(socketOf(postgres)), keys)
    alice = await movedTo(server.url, alice).login()
    const sent = Array.from({ length: 8 }, (_, index) => `new ${index}`)
    for (const body of sent) await alice.send(room, body)
    // The positions that the lost messages had are handed out again by now.
    const afresh = await alice.sync({ since: lost })
    expect(knowsRoomAnew(afresh, room)).toBe(true)
    expect(bodies(afresh, room).slice(-8)).toEqual(sent)
    const onward = await alice.sync({ since: before })
    expect(knowsRoomAnew(onward, room)).toBe(false)
    expect(bodies(onward, room)).toEqual(sent)
  })

  it('begins anew by itself when its database fails over to one that lacks commits', async () => {
    const folder = await newFolder()
    const [first, second, keys] = [join(folder, 'first'), join(folder, 'second'), join(folder, 'keys')]
    let postgres = await startPostgres(first)
    const setUp = await startServer(urlAt(socketOf(postgres)), keys)
    const registered = await register(setUp, 'alice')
    expect(await setUp.end('SIGTERM')).toBe(0)
    await postgres.stop()
    await copy(first, second)

    postgres = await startPostgres(first)
    // Where clients of the database look: moved to the other one as a failover moves an address.
    const address = join(folder, 'address')
    await symlink(socketOf(postgres), address)
    // It starts again within its process, and is to be found where it was.
    const server = await startServer(urlAt(address), keys, await freePort())
    const alice = movedTo(server.url, registered)
    const room = await alice.createRoom({})
    await alice.send(room, 'lost')
    const lost = await alice.now()

    await postgres.stop()
    await writeFile(join(second, 'postgres', 'recovery.signal'), '')
    // Recovery to the end of what there is begins a new timeline, as the promotion of a standby does.
    const promoted = await startPostgres(second, { restore_command: 'false' })
    await rm(address)
    await symlink(socketOf(promoted), address)

    const rooms = await patiently(async () => {
      const created = await alice.createRoom({})
      await alice.send(created, 'after the failover')
      return created
    })
    const afresh = await alice.sync({ since: lost })
    expect(Object.keys(at(afresh, 'rooms', 'join') as JsonObject)).toEqual([rooms]) // A map by room ID.
    expect(bodies(afresh, rooms)).toEqual(['after the failover'])
    expect(knowsRoomAnew(afresh, rooms)).toBe(true)
    expect(await server.end('SIGTERM')).toBe(0)
  })
})

async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>(resolve => probe.listen(0, '127.0.0.1', resolve))
  const address = probe.address()
  await new Promise(resolve => probe.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('the probe has no port')
  return address.port
}

/** Repeats what a server refuses while its database is away. */
async function patiently<T>(attempt: () => Promise<T>): Promise<T> {
  for (let left = 60; ; left--) {
    try {
      return await attempt()
    } catch (error) {
      if (left === 0) throw error
      await new Promise(resolve => setTimeout(resolve, 500))
    }
  }
}
