import { type JsonObject } from '../../src/protocol/json.ts'
import { OlmDevice } from '../encryption/olm-device.ts'
import { type Exchange } from '../harness/exchange.ts'
import { Caller, path, type Person, register } from '../harness/people.ts'
import { type TestServer } from '../harness/server.ts'

/** Who takes part. */
export interface Cast {
  readonly server: TestServer
  readonly alice: Person
  readonly bob: Person
  /** A room of Alice's that Bob is in. */
  readonly room: string
}

/** Something that a client asks for, and of which all happens or nothing. */
export interface Operation {
  readonly name: string
  /** Makes ready for one attempt, and returns how to make it; called again it is the same request once more. */
  readonly prepare: (cast: Cast) => Promise<() => Promise<Exchange>>
  /** What a repetition may be answered when the first attempt was done although its answer was lost; 200 goes without saying. */
  readonly repeated?: readonly string[]
  /** True when two such requests are two deeds: a repetition does not find out what became of the first. */
  readonly isNew?: boolean
  /** True for what is done in several steps, each of which happens whole or not at all. */
  readonly inSteps?: boolean
}

export async function makeCast(server: TestServer): Promise<Cast> {
  const [alice, bob] = [await register(server), await register(server)]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  return { server, alice, bob, room }
}

let count = 0
const next = (): string => `n${(count += 1)}`

const request = (caller: Caller, method: string, target: string, body?: JsonObject) => (): Promise<Exchange> =>
  caller.request(method, target, body)

export const operations: readonly Operation[] = [
  {
    name: 'sending a message',
    prepare: async ({ alice, room }) =>
      request(alice, 'PUT', path`/rooms/${room}/send/m.room.message/${next()}`, { msgtype: 'm.text', body: 'x' }),
  },
  {
    name: 'setting state',
    prepare: async ({ alice, room }) =>
      request(alice, 'PUT', path`/rooms/${room}/state/org.example/${next()}`, { value: next() }),
    isNew: true,
  },
  {
    name: 'redacting',
    prepare: async ({ alice, room }) => {
      const eventId = await alice.send(room, 'to be redacted')
      return request(alice, 'PUT', path`/rooms/${room}/redact/${eventId}/${next()}`, {})
    },
  },
  {
    name: 'creating a room',
    prepare: async ({ alice, bob }) =>
      request(alice, 'POST', '/createRoom', {
        preset: 'private_chat',
        name: 'Made under difficulties',
        room_alias_name: next(),
        invite: [bob.userId],
      }),
    repeated: ['M_ROOM_IN_USE'],
  },
  {
    name: 'inviting',
    prepare: async ({ alice, bob }) => {
      const room = await alice.createRoom()
      return request(alice, 'POST', path`/rooms/${room}/invite`, { user_id: bob.userId })
    },
    isNew: true,
  },
  {
    name: 'joining',
    prepare: async ({ alice, bob }) => request(bob, 'POST', path`/join/${await alice.createRoom({ preset: 'public_chat' })}`, {}), // prettier-ignore
  },
  {
    name: 'leaving',
    prepare: async ({ alice, bob }) => {
      const room = await alice.createRoom({ preset: 'public_chat' })
      await bob.join(room)
      return request(bob, 'POST', path`/rooms/${room}/leave`, {})
    },
  },
  {
    name: 'banning',
    prepare: async ({ alice, bob }) => {
      const room = await alice.createRoom({ preset: 'public_chat' })
      await bob.join(room)
      return request(alice, 'POST', path`/rooms/${room}/ban`, { user_id: bob.userId })
    },
    isNew: true,
  },
  {
    name: 'reading up to an event',
    prepare: async ({ alice, bob, room }) => {
      const eventId = await alice.send(room, 'to be read')
      return request(bob, 'POST', path`/rooms/${room}/read_markers`, {
        'm.fully_read': eventId,
        'm.read': eventId,
        'm.read.private': eventId,
      })
    },
  },
  {
    name: 'setting account data',
    prepare: async ({ alice }) =>
      request(alice, 'PUT', path`/user/${alice.userId}/account_data/${`org.example.${next()}`}`, { value: next() }),
    isNew: true,
  },
  {
    name: 'tagging a room',
    prepare: async ({ bob, room }) =>
      request(bob, 'PUT', path`/user/${bob.userId}/rooms/${room}/account_data/${`org.example.${next()}`}`, { a: 1 }),
    isNew: true,
  },
  {
    name: 'registering',
    prepare: async ({ server }) =>
      request(new Caller(server.url), 'POST', '/register', {
        username: `registered-${next()}`,
        password: 'long enough it is',
        auth: { type: 'm.login.dummy' },
      }),
    repeated: ['M_USER_IN_USE'],
  },
  {
    name: 'logging in',
    prepare: async ({ server, bob }) =>
      request(new Caller(server.url), 'POST', '/login', {
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: bob.userId },
        password: bob.password,
        device_id: `DEVICE${next()}`,
      }),
    isNew: true,
  },
  {
    name: 'logging out',
    prepare: async ({ bob }) => request(await bob.login(), 'POST', '/logout', {}),
    repeated: ['M_UNKNOWN_TOKEN'],
  },
  {
    name: 'uploading keys',
    prepare: async ({ bob }) => {
      const person = await bob.login()
      const device = new OlmDevice(person)
      const body: JsonObject = { device_keys: device.deviceKeys(), one_time_keys: device.oneTimeKeys(3), fallback_keys: device.fallbackKey() } // prettier-ignore
      return request(person, 'POST', '/keys/upload', body)
    },
  },
  {
    name: 'claiming a key',
    prepare: async ({ alice, bob }) => {
      const person = await bob.login()
      const device = new OlmDevice(person)
      await person.post('/keys/upload', { device_keys: device.deviceKeys(), one_time_keys: device.oneTimeKeys(3) })
      return request(alice, 'POST', '/keys/claim', {
        one_time_keys: { [person.userId]: { [person.deviceId]: 'signed_curve25519' } },
      })
    },
    isNew: true,
  },
  {
    name: 'sending to a device',
    prepare: async ({ alice, bob }) => {
      return request(alice, 'PUT', path`/sendToDevice/m.test/${next()}`, {
        messages: { [bob.userId]: { [bob.deviceId]: { a: 1 } } },
      })
    },
  },
  {
    name: 'uploading a file',
    prepare: async ({ alice }) => {
      const bytes = Buffer.from(`the content of ${next()}`)
      return () =>
        alice.request('POST', '/_matrix/media/v3/upload', bytes, { headers: { 'content-type': 'text/plain' } })
    },
    isNew: true,
  },
  {
    name: 'upgrading a room',
    prepare: async ({ alice, bob }) => {
      const room = await alice.createRoom({ preset: 'public_chat', room_version: '11', room_alias_name: next() })
      await bob.join(room)
      return request(alice, 'POST', path`/rooms/${room}/upgrade`, { new_version: '12' })
    },
    isNew: true,
    inSteps: true,
  },
  {
    name: 'setting a display name',
    prepare: async ({ server }) => {
      const person = await register(server)
      return request(person, 'PUT', path`/profile/${person.userId}/displayname`, { displayname: next() })
    },
    isNew: true,
  },
  {
    name: 'making an alias',
    prepare: async ({ alice, room }) =>
      request(alice, 'PUT', path`/directory/room/${`#${next()}:lethe.test`}`, { room_id: room }),
    repeated: ['M_UNKNOWN', 'M_ROOM_IN_USE'],
  },
]
