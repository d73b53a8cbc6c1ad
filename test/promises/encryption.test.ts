import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { at, nobody, path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const encryption = { algorithm: 'm.megolm.v1.aes-sha2' }
const ciphertext = { ...encryption, ciphertext: 'AwgAEnB…', session_id: 'session', device_id: 'DEVICE' }

let server: TestServer
let alice: Person

beforeAll(async () => {
  // The settings as they are without any of the operator's: those of the other tests switch both off.
  server = await startTestServer({
    settings: { encryption: { default_in_private_rooms: undefined, refuse_plaintext: undefined } },
  })
  alice = await register(server)
})
afterAll(() => server.close())

const send = (room: string, type: string, content: JsonObject, transaction = alice.nextTransactionId()) =>
  alice.request('PUT', path`/rooms/${room}/send/${type}/${transaction}`, content)
const refusal = expect.objectContaining({ status: 403, json: expect.objectContaining({ errcode: 'M_FORBIDDEN' }) })

describe('promise 23: private rooms are encrypted, and plaintext is refused there', () => {
  it.each([
    { preset: 'private_chat' },
    { preset: 'trusted_private_chat' },
    { preset: 'private_chat', visibility: 'public' },
    { visibility: 'private' },
    { creation_content: { type: 'm.space' } },
    {},
  ])('%j makes an encrypted room', async request => {
    const room = await alice.createRoom(request)
    expect(await alice.state(room, 'm.room.encryption')).toEqual(encryption)
    expect(await send(room, 'm.room.message', { msgtype: 'm.text', body: 'hello' })).toEqual(refusal)
    expect((await send(room, 'm.room.encrypted', ciphertext)).status).toBe(200)
  })

  it.each([{ preset: 'public_chat' }, { visibility: 'public' }, { preset: 'public_chat', visibility: 'private' }])(
    '%j makes one that is not',
    async request => {
      const room = await alice.createRoom(request)
      expect((await alice.request('GET', path`/rooms/${room}/state/m.room.encryption/`)).status).toBe(404)
      expect((await send(room, 'm.room.message', { msgtype: 'm.text', body: 'hello' })).status).toBe(200)
    },
  )

  it('leaves to the creator how a room is encrypted, but not whether', async () => {
    const chosen = { ...encryption, rotation_period_msgs: 7 }
    const own = await alice.createRoom({
      initial_state: [{ type: 'm.room.encryption', state_key: '', content: chosen }],
    })
    expect(await alice.state(own, 'm.room.encryption')).toEqual(chosen)
    const evaded = await alice.createRoom({
      initial_state: [{ type: 'm.room.encryption', state_key: '', content: {} }],
    })
    expect(await send(evaded, 'm.room.message', { msgtype: 'm.text', body: 'hello' })).toEqual(refusal)
  })

  it.each([
    'm.room.message', 'm.sticker', 'm.poll.start', 'm.poll.response', 'm.beacon', 'm.call.invite', 'm.call.candidates',
    'm.room.pinned_message', 'org.example.custom', 'm.room.encrypted.not', 'm.key.verification',
  ])('%s is refused in the clear', async type => {
    const room = await alice.createRoom()
    expect(await send(room, type, { body: 'hello', reason: 'none' })).toEqual(refusal)
  }) // prettier-ignore

  it('lets through what clients do not encrypt: reactions, redactions, verifications, state', async () => {
    const room = await alice.createRoom()
    const eventId = await alice.send(room, ciphertext, 'm.room.encrypted')
    const relation = { rel_type: 'm.annotation', event_id: eventId, key: '👍' }
    expect((await send(room, 'm.reaction', { 'm.relates_to': relation })).status).toBe(200)
    const reference = { 'm.relates_to': { rel_type: 'm.reference', event_id: eventId }, methods: ['m.sas.v1'] }
    for (const step of ['ready', 'start', 'accept', 'key', 'mac', 'done', 'cancel']) {
      expect((await send(room, `m.key.verification.${step}`, reference)).status).toBe(200)
    }
    await alice.setState(room, 'm.room.topic', { topic: 'what state says' })
    await alice.redact(room, eventId)
    expect((await send(room, 'm.room.redaction', { redacts: eventId })).status).toBe(200)
  })

  it('holds from the moment on when a room is encrypted, for everybody, and for good', async () => {
    const bob = await register(server)
    const room = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(room)
    await bob.send(room, 'before')
    const transaction = alice.nextTransactionId()
    const before = await send(room, 'm.room.message', { msgtype: 'm.text', body: 'once' }, transaction)
    const enabled = await alice.setState(room, 'm.room.encryption', encryption)
    await expect(bob.send(room, 'after')).rejects.toMatchObject({ status: 403, errcode: 'M_FORBIDDEN' })
    // A client that repeats a request learns what became of it.
    const again = await send(room, 'm.room.message', { msgtype: 'm.text', body: 'once' }, transaction)
    expect(again.json).toEqual(before.json)
    await alice.redact(room, enabled)
    await expect(bob.send(room, 'after')).rejects.toMatchObject({ status: 403, errcode: 'M_FORBIDDEN' })
  })

  it('says nothing to those who are not in the room', async () => {
    const room = await alice.createRoom()
    const stranger = await register(server)
    const inside = await stranger.request('PUT', path`/rooms/${room}/send/m.room.message/1`, { body: 'hello' })
    const nowhere = await stranger.request('PUT', path`/rooms/${'!none:lethe.test'}/send/m.room.message/1`, {
      body: 'hello',
    })
    expect([inside.status, inside.json]).toEqual([nowhere.status, nowhere.json])
  })

  it('tells clients, so that they offer no switch for it', async () => {
    const { unstable_features: features } = await nobody(server).get('/_matrix/client/versions')
    expect(at(features, 'io.element.e2ee_forced.private')).toBe(true)
    expect(at(features, 'io.element.e2ee_forced.trusted_private')).toBe(true)
    expect(at(features, 'io.element.e2ee_forced.public')).toBeUndefined()
  })

  it('is the operator’s to switch off, each half by itself', async () => {
    const plain = await startTestServer({
      settings: { encryption: { default_in_private_rooms: false, refuse_plaintext: true } },
    })
    const tolerant = await startTestServer({
      settings: { encryption: { default_in_private_rooms: true, refuse_plaintext: false } },
    })
    try {
      const dora = await register(plain)
      const room = await dora.createRoom()
      expect((await dora.request('GET', path`/rooms/${room}/state/m.room.encryption/`)).status).toBe(404)
      await dora.send(room, 'hello')
      const { unstable_features: features } = await dora.get('/_matrix/client/versions')
      expect(at(features, 'io.element.e2ee_forced.private')).toBeUndefined()
      const emil = await register(tolerant)
      await emil.send(await emil.createRoom(), 'hello')
    } finally {
      await plain.close()
      await tolerant.close()
    }
  })
})
