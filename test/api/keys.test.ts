import Olm from '@matrix-org/olm'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { OlmDevice } from '../encryption/olm-device.ts'
import { at, objectsAt, path, type Person, register, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.close())

interface Client {
  readonly person: Person
  readonly device: OlmDevice
}

/** Somebody new, whose device keys are uploaded. */
async function client(more: JsonObject = {}): Promise<Client> {
  const person = await register(server)
  const device = new OlmDevice(person)
  await person.post('/keys/upload', { device_keys: device.deviceKeys(), ...more })
  return { person, device }
}

const query = (asker: Person, ...users: readonly Person[]) =>
  asker.post('/keys/query', { device_keys: Object.fromEntries(users.map(user => [user.userId, []])) })

const claim = (asker: Person, owner: Person, algorithm = 'signed_curve25519') =>
  asker.post('/keys/claim', { one_time_keys: { [owner.userId]: { [owner.deviceId]: algorithm } } })

/** The one key that was claimed of a device; null if none was. */
function claimedKey(answer: JsonObject, owner: Person): { id: string; key: JsonObject } | null {
  const keys = at(answer, 'one_time_keys', owner.userId, owner.deviceId)
  const [entry] = isJsonObject(keys) ? Object.entries(keys) : []
  return entry && isJsonObject(entry[1]) ? { id: entry[0], key: entry[1] } : null
}

const countOf = (answer: JsonObject) => at(answer, 'one_time_key_counts', 'signed_curve25519')

describe('POST /keys/upload', () => {
  it('publishes device keys as they were uploaded, without what others may claim of them', async () => {
    const alice = await client()
    const bob = await register(server)
    const uploaded = alice.device.deviceKeys()
    await alice.person.post('/keys/upload', { device_keys: { ...uploaded, unsigned: { device_display_name: 'x' } } })
    const answer = await query(bob, alice.person)
    expect(at(answer, 'device_keys', alice.person.userId)).toEqual({ [alice.person.deviceId]: uploaded })
    expect(answer.failures).toEqual({})
  })

  it('keeps fields it does not know', async () => {
    const alice = await client()
    const { signatures: _signatures, ...keys } = alice.device.deviceKeys()
    const uploaded = alice.device.sign({ ...keys, dehydrated: true })
    await alice.person.post('/keys/upload', { device_keys: uploaded })
    expect(at(await query(alice.person, alice.person), 'device_keys', alice.person.userId, alice.person.deviceId)).toMatchObject(uploaded) // prettier-ignore
  })

  it('counts one-time keys, a zero included', async () => {
    const { person, device } = await client()
    expect(await person.post('/keys/upload', {})).toEqual({ one_time_key_counts: { signed_curve25519: 0 } })
    const answer = await person.post('/keys/upload', { one_time_keys: device.oneTimeKeys(7) })
    expect(answer).toEqual({ one_time_key_counts: { signed_curve25519: 7 } })
  })

  it('takes the same one-time keys again, and some of them with others', async () => {
    const { person, device } = await client()
    const [a, b, c, d] = Object.entries(device.oneTimeKeys(4))
    const keys = (...entries: (typeof a)[]) => ({ one_time_keys: Object.fromEntries(entries.flatMap(each => (each ? [each] : []))) }) // prettier-ignore
    expect(countOf(await person.post('/keys/upload', keys(a, b, c)))).toBe(3)
    expect(countOf(await person.post('/keys/upload', keys(a, b, c)))).toBe(3)
    expect(countOf(await person.post('/keys/upload', keys(b, c, d)))).toBe(4)
  })

  it('refuses another one-time key under a name that is taken, and does nothing else then', async () => {
    const { person, device } = await client({})
    const [id = '', key] = Object.entries(device.oneTimeKeys(1))[0] ?? []
    await person.post('/keys/upload', { one_time_keys: { [id]: key ?? {} } })
    const another = Object.values(device.oneTimeKeys(1))[0] ?? {}
    const more = device.oneTimeKeys(2)
    const refused = await person.request('POST', '/keys/upload', { one_time_keys: { ...more, [id]: another } })
    expect([refused.status, at(refused.json, 'errcode')]).toEqual([400, 'M_INVALID_PARAM'])
    expect(countOf(await person.post('/keys/upload'))).toBe(1)
  })

  it('stores a key once when many uploads bring it at the same time', async () => {
    const { person, device } = await client()
    const one_time_keys = device.oneTimeKeys(5)
    const answers = await Promise.all(Array.from({ length: 20 }, () => person.post('/keys/upload', { one_time_keys })))
    expect(answers.map(countOf)).toEqual(Array.from({ length: 20 }, () => 5))
  })

  it('lets a device have a thousand one-time keys and no more', async () => {
    const { person, device } = await client()
    for (let uploaded = 0; uploaded < 1000; uploaded += 100) {
      await person.post('/keys/upload', { one_time_keys: device.oneTimeKeys(100) })
    }
    const refused = await person.request('POST', '/keys/upload', { one_time_keys: device.oneTimeKeys(1) })
    expect([refused.status, at(refused.json, 'errcode')]).toEqual([400, 'M_INVALID_PARAM'])
    expect(countOf(await person.post('/keys/upload'))).toBe(1000)
  })

  it('replaces signatures over device keys when the keys change', async () => {
    const { person } = await client()
    const successor = new OlmDevice(person)
    const keys = successor.deviceKeys()
    await person.post('/keys/upload', { device_keys: keys })
    expect(at(await query(person, person), 'device_keys', person.userId, person.deviceId)).toMatchObject(keys)
  })

  describe('refuses', () => {
    let alice: Client
    let bob: Client
    beforeAll(async () => {
      alice = await client()
      bob = await client()
    })
    const cases: [string, string, (keys: JsonObject) => JsonObject][] = [
      ['keys without algorithms', 'M_BAD_JSON', ({ algorithms: _algorithms, ...rest }) => rest],
      ['keys without signatures', 'M_BAD_JSON', ({ signatures: _signatures, ...rest }) => rest],
      ['keys of another user', 'M_INVALID_PARAM', keys => ({ ...keys, user_id: '@somebody:lethe.test' })],
      ['keys of another device', 'M_INVALID_PARAM', keys => ({ ...keys, device_id: 'OTHER' })],
      ['keys that are not text', 'M_BAD_JSON', keys => ({ ...keys, keys: { 'ed25519:X': 1 } })],
      ['keys named after another device', 'M_INVALID_PARAM', keys => ({ ...keys, keys: { ...(keys.keys as JsonObject), 'ed25519:OTHER': 'x' } })], // prettier-ignore
      ['a signing key that is none', 'M_INVALID_PARAM', keys => ({ ...keys, keys: Object.fromEntries(Object.keys(keys.keys as JsonObject).map(name => [name, 'AAAA'])) })], // prettier-ignore
      ['no signing key', 'M_INVALID_PARAM', keys => ({ ...keys, keys: {} })],
      ['a signature over other keys', 'M_INVALID_SIGNATURE', keys => ({ ...keys, algorithms: ['m.olm.v1.curve25519-aes-sha2'] })], // prettier-ignore
    ]
    it.each(cases)('%s', async (_name, errcode, spoil) => {
      const refused = await alice.person.request('POST', '/keys/upload', {
        device_keys: spoil(alice.device.deviceKeys()),
      })
      expect([refused.status, at(refused.json, 'errcode')]).toEqual([400, errcode])
    })

    it("another user's device keys", async () => {
      const refused = await alice.person.request('POST', '/keys/upload', { device_keys: bob.device.deviceKeys() })
      expect(refused.status).toBe(400)
    })

    it('numbers that have no canonical form', async () => {
      const body = JSON.stringify({ one_time_keys: { 'signed_curve25519:A': { key: 'x', weight: 'N' } } })
      const refused = await alice.person.request('POST', '/keys/upload', body.replace('"N"', '1.5'))
      expect([refused.status, at(refused.json, 'errcode')]).toEqual([400, 'M_BAD_JSON'])
    })

    it.each(['signed_curve25519', ':A', 'signed_curve25519:', `signed_curve25519:${'k'.repeat(256)}`, 'a:\0'])(
      'a one-time key called %j',
      async name => {
        const key = Object.values(alice.device.oneTimeKeys(1))[0] ?? {}
        const refused = await alice.person.request('POST', '/keys/upload', { one_time_keys: { [name]: key } })
        expect([refused.status, at(refused.json, 'errcode')]).toEqual([400, 'M_INVALID_PARAM'])
      },
    )

    it.each([
      ['a list', []],
      ['a number', 5],
      ['an object without a key', { signatures: {} }],
    ])('%s as a one-time key', async (_name, key) => {
      // prettier-ignore
      const refused = await alice.person.request('POST', '/keys/upload', { one_time_keys: { 'curve25519:A': key } })
      expect([refused.status, at(refused.json, 'errcode')]).toEqual([400, 'M_BAD_JSON'])
    })

    it('one-time keys that another device signed, or nobody', async () => {
      const foreign = bob.device.oneTimeKeys(1)
      const bare = Object.fromEntries(Object.entries(alice.device.oneTimeKeys(1)).map(([id, { key }]) => [id, { key: key ?? '' }])) // prettier-ignore
      for (const one_time_keys of [foreign, bare]) {
        const refused = await alice.person.request('POST', '/keys/upload', { one_time_keys })
        expect([refused.status, at(refused.json, 'errcode')]).toEqual([400, 'M_INVALID_SIGNATURE'])
      }
    })

    it('a key of more than eight kibibytes', async () => {
      const key = alice.device.sign({ key: 'k'.repeat(8 * 1024) })
      const refused = await alice.person.request('POST', '/keys/upload', { one_time_keys: { 'signed_curve25519:A': key } }) // prettier-ignore
      expect([refused.status, at(refused.json, 'errcode')]).toEqual([413, 'M_TOO_LARGE'])
    })
  })
})

describe('POST /keys/query', () => {
  it('gives the devices that were asked for and leaves out those that do not exist', async () => {
    const alice = await client()
    const second = await alice.person.login()
    await second.post('/keys/upload', { device_keys: new OlmDevice(second).deviceKeys() })
    const bob = await register(server)
    const answer = await bob.post('/keys/query', { device_keys: { [alice.person.userId]: [second.deviceId, 'NOPE'] } })
    expect(Object.keys(at(answer, 'device_keys', alice.person.userId) as JsonObject)).toEqual([second.deviceId])
  })

  it('answers the same for a user without keys and for one who does not exist', async () => {
    const [alice, bob] = [await register(server), await register(server)]
    const nobody = '@nobody-of-this-name:lethe.test'
    const answer = await alice.post('/keys/query', { device_keys: { [bob.userId]: [], [nobody]: [] } })
    expect(answer.device_keys).toEqual({ [bob.userId]: {}, [nobody]: {} })
  })

  it('names servers that cannot be asked', async () => {
    const alice = await register(server)
    const answer = await alice.post('/keys/query', { device_keys: { '@bob:elsewhere.test': [] } })
    expect(answer.device_keys).toEqual({})
    expect(Object.keys(answer.failures as JsonObject)).toEqual(['elsewhere.test'])
  })

  it("shows a device's name to its owner alone", async () => {
    const alice = await client()
    await alice.person.put(path`/devices/${alice.person.deviceId}`, { display_name: 'Red phone' })
    const bob = await register(server)
    const seenBy = async (viewer: Person) =>
      at(await query(viewer, alice.person), 'device_keys', alice.person.userId, alice.person.deviceId, 'unsigned')
    expect(await seenBy(alice.person)).toEqual({ device_display_name: 'Red phone' })
    expect(await seenBy(bob)).toBeUndefined()
  })

  it.each([
    [{ 'not a user': [] }, 'M_INVALID_PARAM'],
    [{ '@alice:lethe.test': {} }, 'M_BAD_JSON'],
    [{ '@alice:lethe.test': [1] }, 'M_BAD_JSON'],
  ])('refuses %j', async (deviceKeys, errcode) => {
    const alice = await register(server)
    const refused = await alice.request('POST', '/keys/query', { device_keys: deviceKeys })
    expect([refused.status, at(refused.json, 'errcode')]).toEqual([400, errcode])
  })

  it('forgets the keys of a device that logs out', async () => {
    const alice = await client()
    const second = await alice.person.login()
    await second.post('/keys/upload', { device_keys: new OlmDevice(second).deviceKeys() })
    await second.post('/logout')
    const answer = await query(alice.person, alice.person)
    expect(Object.keys(at(answer, 'device_keys', alice.person.userId) as JsonObject)).toEqual([alice.person.deviceId])
  })
})

describe('POST /keys/claim', () => {
  it('gives each key once, in the order of the uploads', async () => {
    const { person, device } = await client()
    const [first, second] = Object.entries(device.oneTimeKeys(2)).reverse()
    const upload = (entry: typeof first) => person.post('/keys/upload', { one_time_keys: Object.fromEntries(entry ? [entry] : []) }) // prettier-ignore
    await upload(first)
    await upload(second)
    const bob = await register(server)
    expect(claimedKey(await claim(bob, person), person)).toEqual({ id: first?.[0], key: first?.[1] })
    expect(claimedKey(await claim(bob, person), person)).toEqual({ id: second?.[0], key: second?.[1] })
    expect(await claim(bob, person)).toEqual({ one_time_keys: {}, failures: {} })
    expect(countOf(await person.post('/keys/upload'))).toBe(0)
  })

  it('gives the fallback key when the others are used up, again and again, until there is a new one', async () => {
    const { person, device } = await client()
    const fallback = device.fallbackKey()
    const [fallbackId = ''] = Object.keys(fallback)
    await person.post('/keys/upload', { one_time_keys: device.oneTimeKeys(1), fallback_keys: fallback })
    const bob = await register(server)
    expect(claimedKey(await claim(bob, person), person)?.id).not.toBe(fallbackId)
    for (let times = 0; times < 2; times++) {
      expect(claimedKey(await claim(bob, person), person)).toEqual({ id: fallbackId, key: fallback[fallbackId] })
    }
    const successor = device.fallbackKey()
    await person.post('/keys/upload', { fallback_keys: successor })
    expect(claimedKey(await claim(bob, person), person)?.id).toBe(Object.keys(successor)[0])
  })

  it('leaves out what does not exist', async () => {
    const { person } = await client()
    const answer = await person.post('/keys/claim', {
      one_time_keys: {
        [person.userId]: { [person.deviceId]: 'signed_curve25519', NOPE: 'signed_curve25519' },
        '@nobody-of-this-name:lethe.test': { X: 'signed_curve25519' },
      },
    })
    expect(answer).toEqual({ one_time_keys: {}, failures: {} })
  })

  it('names servers that cannot be asked', async () => {
    const { person } = await client()
    const answer = await person.post('/keys/claim', { one_time_keys: { '@bob:elsewhere.test': { X: 'signed_curve25519' } } }) // prettier-ignore
    expect(Object.keys(answer.failures as JsonObject)).toEqual(['elsewhere.test'])
  })

  it.each([
    [{ 'not a user': {} }, 'M_INVALID_PARAM'],
    [{ '@alice:lethe.test': [] }, 'M_BAD_JSON'],
    [{ '@alice:lethe.test': { X: 1 } }, 'M_BAD_JSON'],
  ])('refuses %j', async (oneTimeKeys, errcode) => {
    const { person } = await client()
    const refused = await person.request('POST', '/keys/claim', { one_time_keys: oneTimeKeys })
    expect([refused.status, at(refused.json, 'errcode')]).toEqual([400, errcode])
  })
})

describe('two clients', () => {
  it('set up an Olm session and talk in Megolm', async () => {
    const alice = await client()
    const bob = await client()
    await bob.person.post('/keys/upload', { one_time_keys: bob.device.oneTimeKeys(5) })
    const encryption = { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }
    const room = await alice.person.createRoom({ preset: 'public_chat', initial_state: [encryption] })
    const aliceSince = text(await alice.person.sync(), 'next_batch')
    await bob.person.join(room)
    const since = text(await bob.person.sync(), 'next_batch')
    expect(at(await alice.person.sync({ since: aliceSince }), 'device_lists', 'changed')).toEqual([bob.person.userId])

    const found = at(await query(alice.person, bob.person), 'device_keys', bob.person.userId, bob.person.deviceId)
    const curve25519 = at(found, 'keys', `curve25519:${bob.person.deviceId}`) as string
    const claimed = claimedKey(await claim(alice.person, bob.person), bob.person)
    const outbound = new Olm.Session()
    outbound.create_outbound(alice.device.account, curve25519, claimed?.key.key as string)

    const group = new Olm.OutboundGroupSession()
    group.create()
    const roomKey = outbound.encrypt(
      JSON.stringify({ session_id: group.session_id(), session_key: group.session_key() }),
    )
    await alice.person.put(path`/sendToDevice/m.room.encrypted/${alice.person.nextTransactionId()}`, {
      messages: { [bob.person.userId]: { [bob.person.deviceId]: { ...roomKey, sender_key: alice.device.identityKeys.curve25519 } } }, // prettier-ignore
    })
    await alice.person.send(
      room,
      {
        algorithm: 'm.megolm.v1.aes-sha2',
        session_id: group.session_id(),
        ciphertext: group.encrypt('a secret'),
        device_id: alice.person.deviceId,
        sender_key: alice.device.identityKeys.curve25519,
      },
      'm.room.encrypted',
    )

    const sync = await bob.person.sync({ since })
    const [first, ...others] = objectsAt(sync, 'to_device', 'events')
    expect([first?.sender, first?.type, others]).toEqual([alice.person.userId, 'm.room.encrypted', []])
    const received = first?.content as { type: 0; body: string }
    const inbound = new Olm.Session()
    inbound.create_inbound(bob.device.account, received.body)
    bob.device.account.remove_one_time_keys(inbound)
    const { session_key } = JSON.parse(inbound.decrypt(received.type, received.body)) as { session_key: string }
    const inboundGroup = new Olm.InboundGroupSession()
    inboundGroup.create(session_key)
    const message = objectsAt(sync, 'rooms', 'join', room, 'timeline', 'events').find(({ type }) => type === 'm.room.encrypted') // prettier-ignore
    expect(inboundGroup.decrypt(at(message, 'content', 'ciphertext') as string).plaintext).toBe('a secret')
    expect(at(sync, 'device_one_time_keys_count', 'signed_curve25519')).toBe(4)
  })
})

describe('the counts of keys in /sync', () => {
  const counts = async (person: Person) => {
    const sync = await person.sync()
    return [at(sync, 'device_one_time_keys_count', 'signed_curve25519'), at(sync, 'device_unused_fallback_key_types')]
  }

  it('follow what is uploaded and claimed, and end with the device', async () => {
    const { person, device } = await client()
    expect(await counts(person)).toEqual([0, []])
    await person.post('/keys/upload', { one_time_keys: device.oneTimeKeys(2), fallback_keys: device.fallbackKey() })
    expect(await counts(person)).toEqual([2, ['signed_curve25519']])
    const asker = await register(server)
    for (const left of [1, 0]) {
      await claim(asker, person)
      expect(await counts(person)).toEqual([left, ['signed_curve25519']])
    }
    await claim(asker, person)
    expect(await counts(person)).toEqual([0, []])
    await person.post('/keys/upload', { one_time_keys: device.oneTimeKeys(3) })
    expect(await counts(person)).toEqual([3, []])
    // The same device logs in again; then somebody else goes on under its name.
    const again = await person.login({ device_id: person.deviceId })
    expect(await counts(again)).toEqual([3, []])
    await again.post('/keys/upload', { device_keys: device.deviceKeys() })
    expect(await counts(again)).toEqual([3, []])
    await again.post('/keys/upload', { device_keys: new OlmDevice(again).deviceKeys() })
    expect(await counts(again)).toEqual([0, []])
    expect(claimedKey(await claim(asker, again), again)).toBeNull()
  })
})
