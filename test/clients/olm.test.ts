import Olm from '@matrix-org/olm'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { at, objectsAt, path, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { OlmClient, RoomSender, type TrustedKeys } from './olm-client.ts'

let server: TestServer
let alice: OlmClient
let bob: OlmClient
/** Bob's device as Alice came to know it. */
let bobsDevice: TrustedKeys
let roomId: string
let sender: RoomSender

const oneTimeKeys = 3

beforeAll(async () => {
  server = await startTestServer()
  alice = await OlmClient.register(server, 'alice', oneTimeKeys)
  bob = await OlmClient.register(server, 'bob', oneTimeKeys)
})
afterAll(() => server?.close())

const countIn = (answer: JsonObject) => at(answer, 'device_one_time_keys_count', 'signed_curve25519')
const fallbackIn = (answer: JsonObject) => answer['device_unused_fallback_key_types']

/** The encrypted events of the room in an answer of `/sync`, each as it stands in the room's history. */
function encryptedIn(answer: JsonObject): JsonObject[] {
  return objectsAt(answer, 'rooms', 'join', roomId, 'timeline', 'events')
    .filter(event => event['type'] === 'm.room.encrypted')
    .map(event => ({ ...event, room_id: roomId }))
}

describe('two clients with libolm', () => {
  it('are told how many one-time keys they have left, and whether the fallback key is unused', async () => {
    for (const client of [alice, bob]) {
      const answer = await client.sync()
      expect([countIn(answer), fallbackIn(answer)]).toEqual([oneTimeKeys, ['signed_curve25519']])
    }
  })

  it('meet in an encrypted room, and learn of each other’s devices', async () => {
    roomId = await alice.person.createRoom({
      preset: 'private_chat',
      invite: [bob.person.userId],
      initial_state: [{ type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
    })
    await bob.person.join(roomId)
    expect(at(await alice.sync(), 'device_lists', 'changed')).toContain(bob.person.userId)
    expect(at(await bob.sync(), 'device_lists', 'changed')).toContain(alice.person.userId)
    bobsDevice = await alice.deviceOf(bob.person.userId, bob.person.deviceId)
    expect(bobsDevice).toMatchObject(bob.device.identityKeys)
  })

  it('begin a session with a one-time key, which is then one less', async () => {
    expect(await alice.open(bobsDevice)).toMatch(/^signed_curve25519:/)
    const answer = await bob.sync()
    expect([countIn(answer), fallbackIn(answer)]).toEqual([oneTimeKeys - 1, ['signed_curve25519']])
  })

  it('hand over the key of a Megolm session, once however often it is sent', async () => {
    sender = new RoomSender(alice, roomId)
    const content = alice.encryptTo(bobsDevice, 'm.room_key', sender.roomKey)
    for (let times = 0; times < 3; times++) await alice.sendTo(bobsDevice, content, 'room-key')
    // The first answer is lost on its way, and its messages come again.
    const lost = await bob.sync('again')
    expect(objectsAt(lost, 'to_device', 'events')).toEqual([
      { sender: alice.person.userId, type: 'm.room.encrypted', content },
    ])
    const answer = await bob.sync()
    expect(objectsAt(answer, 'to_device', 'events')).toEqual(objectsAt(lost, 'to_device', 'events'))
    expect(bob.receive(answer)).toEqual([{ sender: alice.person.userId, type: 'm.room_key', content: sender.roomKey }])
    // Now that they have arrived, they do not.
    expect(objectsAt(await bob.sync(), 'to_device', 'events')).toEqual([])
  })

  it('talk in Megolm, and the server keeps every byte', async () => {
    const sent: JsonObject[] = []
    for (const body of ['one', 'two', 'Füße 👣']) {
      const content = sender.encrypt(body)
      sent.push(content)
      await alice.person.send(roomId, content, 'm.room.encrypted')
    }
    const received = encryptedIn(await bob.sync())
    expect(received.map(event => event['content'])).toEqual(sent)
    expect(received.map(event => bob.decryptMegolm(event))).toEqual([
      { index: 0, body: 'one' },
      { index: 1, body: 'two' },
      { index: 2, body: 'Füße 👣' },
    ])
    const history = objectsAt(await bob.person.messages(roomId), 'chunk')
    expect(history.filter(event => event['type'] === 'm.room.encrypted').map(event => bob.decryptMegolm(event).body)).toEqual(['Füße 👣', 'two', 'one']) // prettier-ignore
  })

  it('answer over the same session', async () => {
    const alicesDevice = await bob.deviceOf(alice.person.userId, alice.person.deviceId)
    await bob.sendTo(alicesDevice, bob.encryptTo(alicesDevice, 'm.dummy', {}))
    expect(alice.receive(await alice.sync())).toEqual([{ sender: bob.person.userId, type: 'm.dummy', content: {} }])
  })

  it('send an encrypted event once under one transaction ID', async () => {
    const content = sender.encrypt('once')
    const ids = await Promise.all(
      Array.from({ length: 5 }, () => alice.person.send(roomId, content, 'm.room.encrypted', 'same')),
    )
    expect(new Set(ids).size).toBe(1)
    expect(encryptedIn(await bob.sync()).map(event => bob.decryptMegolm(event).body)).toEqual(['once'])
  })

  it('notice messages that somebody plays again', async () => {
    // To the device, under another transaction: libolm's ratchet has moved on.
    const content = alice.encryptTo(bobsDevice, 'm.dummy', {})
    await alice.sendTo(bobsDevice, content)
    await alice.sendTo(bobsDevice, content)
    const [first = {}, second = {}] = objectsAt(await bob.sync(), 'to_device', 'events')
    expect(bob.decryptOlm(first).type).toBe('m.dummy')
    expect(() => bob.decryptOlm(second)).toThrow('BAD_MESSAGE_MAC')
    // In the room: the same place in the session, in two events.
    const repeated = sender.encrypt('pay Mallory')
    for (let times = 0; times < 2; times++) await alice.person.send(roomId, repeated, 'm.room.encrypted')
    const events = encryptedIn(await bob.sync())
    expect(new Set(events.map(event => event['event_id'])).size).toBe(2)
    expect(new Set(events.map(event => bob.decryptMegolm(event).index)).size).toBe(1)
  })
})

describe('a device whose one-time keys are used up', () => {
  it('is reached with its fallback key, by several', async () => {
    const others = await Promise.all(
      ['carol', 'dave', 'erin', 'frank'].map(name => OlmClient.register(server, name, 1)),
    )
    const keyIds: string[] = []
    for (const other of others) {
      const device = await other.deviceOf(bob.person.userId, bob.person.deviceId)
      keyIds.push(await other.open(device))
      await other.sendTo(device, other.encryptTo(device, 'm.dummy', { from: other.person.userId }))
    }
    const [first, second, third, fourth] = keyIds
    expect(new Set([first, second, third]).size).toBe(3)
    expect(fourth).toBe(third)
    const answer = await bob.sync()
    expect([countIn(answer), fallbackIn(answer)]).toEqual([0, []])
    expect(bob.receive(answer).map(({ content }) => content['from'])).toEqual(others.map(({ person }) => person.userId))
  })

  it('is told that it has new ones when it has uploaded them', async () => {
    await bob.person.post('/keys/upload', {
      one_time_keys: bob.device.oneTimeKeys(2),
      fallback_keys: bob.device.fallbackKey(),
    })
    const answer = await bob.sync()
    expect([countIn(answer), fallbackIn(answer)]).toEqual([2, ['signed_curve25519']])
  })
})

describe('when devices come and go', () => {
  it('a second device of Bob’s is announced, and reads from where it was given the key', async () => {
    await alice.sync()
    const phone = await OlmClient.publish(await bob.person.login(), 1)
    expect(at(await alice.sync(), 'device_lists', 'changed')).toContain(bob.person.userId)
    await phone.sync()
    const device = await alice.deviceOf(phone.person.userId, phone.person.deviceId)
    await alice.open(device)
    await alice.sendTo(device, alice.encryptTo(device, 'm.room_key', sender.roomKey))
    await alice.person.send(roomId, sender.encrypt('for both'), 'm.room.encrypted')
    const answer = await phone.sync()
    phone.receive(answer)
    expect(encryptedIn(answer).map(event => phone.decryptMegolm(event).body)).toEqual(['for both'])
    const [earliest = {}] = objectsAt(await phone.person.messages(roomId, { dir: 'f', limit: 100 }), 'chunk').filter(
      event => event['type'] === 'm.room.encrypted',
    )
    expect(() => phone.decryptMegolm(earliest)).toThrow('UNKNOWN_MESSAGE_INDEX')
    await phone.person.post('/logout')
    expect(at(await alice.sync(), 'device_lists', 'changed')).toContain(bob.person.userId)
    await expect(alice.deviceOf(phone.person.userId, phone.person.deviceId)).rejects.toThrow('no device')
  })

  it('who leaves gets no more events, and the others are told to make a new session', async () => {
    await bob.sync()
    await bob.person.leave(roomId)
    expect(at(await alice.sync(), 'device_lists', 'left')).toContain(bob.person.userId)
    sender = new RoomSender(alice, roomId)
    await alice.person.send(roomId, sender.encrypt('now that Bob is gone'), 'm.room.encrypted')
    expect(JSON.stringify(await bob.sync())).not.toContain(sender.session.session_id())
    expect(JSON.stringify(await bob.person.messages(roomId))).not.toContain(sender.session.session_id())
  })
})

describe('a key backup', () => {
  it('gives room keys back to whoever has its secret', async () => {
    const decryption = new Olm.PkDecryption()
    const publicKey = decryption.generate_key()
    const backup = await alice.person.post('/room_keys/version', {
      algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2',
      auth_data: alice.device.sign({ public_key: publicKey }),
    })
    const encryption = new Olm.PkEncryption()
    encryption.set_recipient_key(publicKey)
    const version = text(backup, 'version')
    const kept = { session_key: sender.session.session_key(), algorithm: 'm.megolm.v1.aes-sha2' }
    await alice.person.expect(
      'PUT',
      path`/room_keys/keys/${roomId}/${sender.session.session_id()}`,
      {
        first_message_index: sender.session.message_index(),
        forwarded_count: 0,
        is_verified: true,
        session_data: { ...encryption.encrypt(JSON.stringify(kept)) },
      },
      { query: { version } },
    )
    const laptop = await alice.person.login()
    const { version: found, auth_data: authData } = await laptop.get('/room_keys/version')
    expect([found, at(authData, 'public_key')]).toEqual([version, publicKey])
    const keys = await laptop.get('/room_keys/keys', { version })
    const session = at(keys, 'rooms', roomId, 'sessions', sender.session.session_id(), 'session_data')
    if (!isJsonObject(session)) throw new Error('the backup is empty')
    const plain = decryption.decrypt(text(session, 'ephemeral'), text(session, 'mac'), text(session, 'ciphertext'))
    expect(JSON.parse(plain)).toEqual(kept)
  })
})
