import { Client } from 'pg'
import { at, type Person, register } from '../harness/people.ts'
import { type TestServer } from '../harness/server.ts'
import { type PathValues } from './samples.ts'

/** A small world in which every endpoint has something to work on. */
export interface World {
  /** Owns everything. */
  readonly alice: Person
  /** Has an account and nothing to do with Alice. */
  readonly mallory: Person
  readonly guest: Person
  readonly admin: Person
  /** Alice's things, by the names of path parameters. */
  readonly hers: PathValues
}

/** Registers the people and makes Alice's room, message and device. */
export async function makeWorld(server: TestServer): Promise<World> {
  const alice = await register(server, 'alice')
  const mallory = await register(server, 'mallory')
  const admin = await promoted(server, await register(server, 'root'), 'is_admin')
  const guest = await promoted(server, await register(server, 'guest'), 'is_guest')
  const roomId = await alice.createRoom({ preset: 'private_chat', name: 'Secret' })
  const eventId = await alice.send(roomId, 'hello')
  const alias = '#secret:lethe.test'
  return {
    alice,
    mallory,
    guest,
    admin,
    hers: {
      userId: alice.userId,
      deviceId: alice.deviceId,
      roomId,
      eventId,
      roomIdOrAlias: roomId,
      roomAlias: alias,
      serverName: 'lethe.test',
      mediaId: 'nosuchmedia',
    },
  }
}

/** Sets a flag that no endpoint sets, and signs in again: the server remembers sessions, not accounts. */
async function promoted(server: TestServer, person: Person, flag: 'is_admin' | 'is_guest'): Promise<Person> {
  await withDatabase(server, client =>
    client.query(
      `UPDATE accounts SET ${flag} = true FROM users WHERE users.user_number = accounts.user_number AND user_id = $1`,
      [person.userId],
    ),
  )
  return person.login()
}

/** A connection of the test's own to the server's database. */
export async function withDatabase<T>(server: TestServer, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: server.database.url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** The code of a refusal, `null` for any other answer. */
export function errcodeOf(body: Parameters<typeof at>[0]): string | null {
  const code = at(body, 'errcode')
  return typeof code === 'string' ? code : null
}
