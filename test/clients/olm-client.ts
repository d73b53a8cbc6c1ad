import Olm from '@matrix-org/olm'
import { canonicalJson } from '../../src/protocol/canonical-json.ts'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { OlmDevice } from '../encryption/olm-device.ts'
import { at, objectsAt, path, type Person, register, text } from '../harness/people.ts'
import { type TestServer } from '../harness/server.ts'

const olmAlgorithm = 'm.olm.v1.curve25519-aes-sha2'
const megolmAlgorithm = 'm.megolm.v1.aes-sha2'

/** The keys of a device whose signatures were checked. */
export interface TrustedKeys {
  readonly userId: string
  readonly deviceId: string
  readonly curve25519: string
  readonly ed25519: string
}

/** A payload that came encrypted to this device, from a sender whose device was checked. */
export interface OlmPayload {
  readonly sender: string
  readonly type: string
  readonly content: JsonObject
}

/** An end-to-end encrypting client by hand: libolm for the secrets, and the client-server API for all else. */
export class OlmClient {
  readonly person: Person
  readonly device: OlmDevice
  /** Megolm sessions that this device was given the key of, by their IDs. */
  readonly roomKeys = new Map<string, Olm.InboundGroupSession>()
  readonly #sessions = new Map<string, Olm.Session>()
  #since: string | undefined

  constructor(person: Person) {
    this.person = person
    this.device = new OlmDevice(person)
  }

  /** Registers somebody and publishes the device's keys with so many one-time keys and a fallback key. */
  static async register(server: Pick<TestServer, 'url'>, name: string, oneTimeKeys: number): Promise<OlmClient> {
    return OlmClient.publish(await register(server, name), oneTimeKeys)
  }

  /** Publishes the keys of a device that has none yet. */
  static async publish(person: Person, oneTimeKeys: number): Promise<OlmClient> {
    const client = new OlmClient(person)
    await person.post('/keys/upload', {
      device_keys: client.device.deviceKeys(),
      one_time_keys: client.device.oneTimeKeys(oneTimeKeys),
      fallback_keys: client.device.fallbackKey(),
    })
    return client
  }

  /** The next answer of `/sync`; with `again`, the last one's once more, as after an answer that was lost. */
  async sync(again: 'again' | null = null): Promise<JsonObject> {
    const answer = await this.person.sync({ since: this.#since })
    if (again === null) this.#since = text(answer, 'next_batch')
    return answer
  }

  /** Asks for the keys of a device, and checks that it signed them itself. */
  async deviceOf(userId: string, deviceId: string): Promise<TrustedKeys> {
    const answer = await this.person.post('/keys/query', { device_keys: { [userId]: [deviceId] } })
    const device = at(answer, 'device_keys', userId, deviceId)
    const curve25519 = at(device, 'keys', `curve25519:${deviceId}`)
    const ed25519 = at(device, 'keys', `ed25519:${deviceId}`)
    if (!isJsonObject(device) || typeof curve25519 !== 'string' || typeof ed25519 !== 'string') {
      throw new Error(`${userId} has no device ${deviceId} with keys`)
    }
    if (device['user_id'] !== userId || device['device_id'] !== deviceId) throw new Error('keys of another device')
    verify(device, userId, deviceId, ed25519)
    return { userId, deviceId, curve25519, ed25519 }
  }

  /** Claims a key of a device, checks who signed it, and begins an Olm session; returns the ID of the key. */
  async open(to: TrustedKeys): Promise<string> {
    const { userId, deviceId } = to
    const answer = await this.person.post('/keys/claim', {
      one_time_keys: { [userId]: { [deviceId]: 'signed_curve25519' } },
    })
    const keys = at(answer, 'one_time_keys', userId, deviceId)
    const [keyId, signed] = isJsonObject(keys) ? (Object.entries(keys)[0] ?? []) : []
    if (keyId === undefined || !isJsonObject(signed)) throw new Error('no key is left')
    verify(signed, userId, deviceId, to.ed25519)
    const session = new Olm.Session()
    session.create_outbound(this.device.account, to.curve25519, text(signed, 'key'))
    this.#sessions.set(to.curve25519, session)
    return keyId
  }

  /** The content of an `m.room.encrypted` for one device, over the session with it. */
  encryptTo(to: TrustedKeys, type: string, content: JsonObject): JsonObject {
    const session = this.#sessions.get(to.curve25519)
    if (!session) throw new Error('no session')
    const { curve25519, ed25519 } = this.device.identityKeys
    const payload = {
      type,
      content,
      sender: this.person.userId,
      recipient: to.userId,
      recipient_keys: { ed25519: to.ed25519 },
      keys: { ed25519 },
    }
    return {
      algorithm: olmAlgorithm,
      sender_key: curve25519,
      ciphertext: { [to.curve25519]: session.encrypt(JSON.stringify(payload)) },
    }
  }

  /** Sends the content to one device. */
  async sendTo(
    to: TrustedKeys,
    content: JsonObject,
    transactionId: string = this.person.nextTransactionId(),
  ): Promise<void> {
    await this.person.put(path`/sendToDevice/m.room.encrypted/${transactionId}`, {
      messages: { [to.userId]: { [to.deviceId]: content } },
    })
  }

  /** Decrypts an `m.room.encrypted` that came to this device; throws libolm's error, or that it was meant for others. */
  decryptOlm(event: JsonObject): OlmPayload {
    const senderKey = text(isJsonObject(event['content']) ? event['content'] : {}, 'sender_key')
    const message = at(event, 'content', 'ciphertext', this.device.identityKeys.curve25519)
    const [kind, body] = [at(message, 'type'), at(message, 'body')]
    if (typeof kind !== 'number' || typeof body !== 'string') throw new Error('not for this device')
    const plain = this.#sessionFor(senderKey, kind, body).decrypt(kind, body)
    // Written by `encryptTo`, and every field is compared.
    const payload = JSON.parse(plain) as JsonObject
    const isForUs =
      payload['recipient'] === this.person.userId &&
      at(payload, 'recipient_keys', 'ed25519') === this.device.identityKeys.ed25519
    if (!isForUs || payload['sender'] !== event['sender']) throw new Error('the envelope was changed')
    const content = payload['content']
    return {
      sender: text(payload, 'sender'),
      type: text(payload, 'type'),
      content: isJsonObject(content) ? content : {},
    }
  }

  #sessionFor(senderKey: string, kind: number, body: string): Olm.Session {
    const known = this.#sessions.get(senderKey)
    if (known && (kind !== 0 || known.matches_inbound(body))) return known
    const session = new Olm.Session()
    session.create_inbound_from(this.device.account, senderKey, body)
    this.device.account.remove_one_time_keys(session)
    this.#sessions.set(senderKey, session)
    return session
  }

  /** Takes the room keys among the messages that an answer of `/sync` brings; returns the payloads. */
  receive(answer: JsonObject): OlmPayload[] {
    const payloads = objectsAt(answer, 'to_device', 'events').map(event => this.decryptOlm(event))
    for (const { type, content } of payloads) {
      if (type !== 'm.room_key') continue
      const session = new Olm.InboundGroupSession()
      session.create(text(content, 'session_key'))
      this.roomKeys.set(text(content, 'session_id'), session)
    }
    return payloads
  }

  /** Decrypts an event of a room; throws if this device has not been given its key. */
  decryptMegolm(event: JsonObject): { readonly index: number; readonly body: unknown } {
    const content = isJsonObject(event['content']) ? event['content'] : {}
    const session = this.roomKeys.get(text(content, 'session_id'))
    if (!session) throw new Error('no key for this session')
    const { message_index: index, plaintext } = session.decrypt(text(content, 'ciphertext'))
    // Written by `RoomSender`, which is what is being tested.
    const payload = JSON.parse(plaintext) as JsonObject
    if (payload['room_id'] !== event['room_id']) throw new Error('moved here from another room')
    return { index, body: at(payload, 'content', 'body') }
  }
}

/** One Megolm session with which a client sends to a room. */
export class RoomSender {
  readonly session = new Olm.OutboundGroupSession()
  readonly #client: OlmClient
  readonly #roomId: string

  constructor(client: OlmClient, roomId: string) {
    this.#client = client
    this.#roomId = roomId
    this.session.create()
  }

  /** The content of the `m.room_key` that lets a device read from here on. */
  get roomKey(): JsonObject {
    return {
      algorithm: megolmAlgorithm,
      room_id: this.#roomId,
      session_id: this.session.session_id(),
      session_key: this.session.session_key(),
    }
  }

  /** The content of an `m.room.encrypted` for the room. */
  encrypt(body: string): JsonObject {
    const payload = { type: 'm.room.message', content: { msgtype: 'm.text', body }, room_id: this.#roomId }
    return {
      algorithm: megolmAlgorithm,
      ciphertext: this.session.encrypt(JSON.stringify(payload)),
      session_id: this.session.session_id(),
      sender_key: this.#client.device.identityKeys.curve25519,
      device_id: this.#client.person.deviceId,
    }
  }
}

/** Throws unless the device signed the object. */
function verify(object: JsonObject, userId: string, deviceId: string, ed25519: string): void {
  const { signatures, unsigned: _unsigned, ...signed } = object
  const signature = at(signatures, userId, `ed25519:${deviceId}`)
  if (typeof signature !== 'string') throw new Error('not signed')
  const utility = new Olm.Utility()
  try {
    utility.ed25519_verify(ed25519, canonicalJson(signed), signature)
  } finally {
    utility.free()
  }
}
