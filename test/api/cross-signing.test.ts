import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { CrossSigningIdentity, CrossSigningKey, OlmDevice } from '../encryption/olm-device.ts'
import { at, type Person, register, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.close())

interface Client {
  readonly person: Person
  readonly device: OlmDevice
  readonly identity: CrossSigningIdentity
}

async function client(): Promise<Client> {
  const person = await register(server)
  const device = new OlmDevice(person)
  await person.post('/keys/upload', { device_keys: device.deviceKeys() })
  return { person, device, identity: new CrossSigningIdentity(person.userId) }
}

/** A client whose cross-signing keys are uploaded. */
async function crossSigned(): Promise<Client> {
  const made = await client()
  await made.person.post('/keys/device_signing/upload', made.identity.upload())
  return made
}

const query = (asker: Person, user: Person) => asker.post('/keys/query', { device_keys: { [user.userId]: [] } })

const refusal = async (person: Person, path: string, body: JsonObject) => {
  const { status, json } = await person.request('POST', path, body)
  return [status, at(json, 'errcode')]
}

/** The answer to a challenge for a password. */
const password = (person: Person, challenge: JsonObject): JsonObject => ({
  type: 'm.login.password',
  identifier: { type: 'm.id.user', user: person.userId },
  password: person.password,
  session: text(challenge, 'session'),
})

describe('POST /keys/device_signing/upload', () => {
  it('takes the first keys without asking for the password, and shows them to others but for the user-signing key', async () => {
    const alice = await crossSigned()
    const bob = await register(server)
    const { master_key, self_signing_key, user_signing_key } = alice.identity.upload()
    const { userId } = alice.person
    expect(await query(bob, alice.person)).toMatchObject({
      master_keys: { [userId]: master_key },
      self_signing_keys: { [userId]: self_signing_key },
      user_signing_keys: {},
    })
    expect((await query(alice.person, alice.person)).user_signing_keys).toEqual({ [userId]: user_signing_key })
  })

  it('takes the same keys again', async () => {
    const { person, identity } = await crossSigned()
    await person.post('/keys/device_signing/upload', identity.upload())
    await person.post('/keys/device_signing/upload', { master_key: identity.master.key })
  })

  it('answers under the unstable path too', async () => {
    const { person, identity } = await client()
    await person.post('/_matrix/client/unstable/keys/device_signing/upload', identity.upload())
  })

  it('asks for the password before it replaces keys', async () => {
    const { person } = await crossSigned()
    const successor = new CrossSigningIdentity(person.userId).upload()
    const challenge = await person.request('POST', '/keys/device_signing/upload', successor)
    expect(challenge.status).toBe(401)
    expect(at(challenge.json, 'flows')).toEqual([{ stages: ['m.login.password'] }])
    expect((await query(person, person)).master_keys).not.toEqual({ [person.userId]: successor.master_key })
    const auth = password(person, challenge.json as JsonObject)
    await person.post('/keys/device_signing/upload', { ...successor, auth })
    expect((await query(person, person)).master_keys).toEqual({ [person.userId]: successor.master_key })
    // The answer may have been lost.
    await person.post('/keys/device_signing/upload', { ...successor, auth })
  })

  it('asks for the password before it adds a key', async () => {
    const { person, identity } = await client()
    await person.post('/keys/device_signing/upload', { master_key: identity.master.key })
    const { self_signing_key } = identity.upload()
    const challenge = await person.request('POST', '/keys/device_signing/upload', { self_signing_key })
    expect(challenge.status).toBe(401)
    const auth = password(person, challenge.json as JsonObject)
    await person.post('/keys/device_signing/upload', { self_signing_key, auth })
    expect((await query(person, person)).self_signing_keys).toEqual({ [person.userId]: self_signing_key })
  })

  it('does not let two first uploads both pass', async () => {
    const { person } = await client()
    const uploads = Array.from({ length: 8 }, () => new CrossSigningIdentity(person.userId).upload())
    const answers = await Promise.all(uploads.map(body => person.request('POST', '/keys/device_signing/upload', body)))
    expect(answers.map(answer => answer.status).sort()).toEqual([200, 401, 401, 401, 401, 401, 401, 401])
  })

  it('removes what an old master key signed when a new one comes alone', async () => {
    const { person } = await crossSigned()
    const { master_key } = new CrossSigningIdentity(person.userId).upload()
    const challenge = await person.request('POST', '/keys/device_signing/upload', { master_key })
    await person.post('/keys/device_signing/upload', {
      master_key,
      auth: password(person, challenge.json as JsonObject),
    })
    const answer = await query(person, person)
    expect([answer.master_keys, answer.self_signing_keys, answer.user_signing_keys]).toEqual([{ [person.userId]: master_key }, {}, {}]) // prettier-ignore
  })

  it('keeps signatures of others out of what everybody sees', async () => {
    const alice = await client()
    const bob = new CrossSigningKey('@bob:lethe.test', 'user_signing')
    const { master_key, ...rest } = alice.identity.upload()
    await alice.person.post('/keys/device_signing/upload', { ...rest, master_key: bob.sign(master_key) })
    expect((await query(alice.person, alice.person)).master_keys).toEqual({ [alice.person.userId]: master_key })
  })

  describe('refuses', () => {
    let alice: Client
    beforeEach(async () => {
      alice = await client()
    })
    const cases: [string, string, (keys: JsonObject, identity: CrossSigningIdentity) => JsonObject][] = [
      ['keys without a master key', 'M_MISSING_PARAM', ({ master_key: _master, ...rest }) => rest],
      ['nothing at all', 'M_MISSING_PARAM', () => ({})],
      ['the key of another user', 'M_INVALID_PARAM', (keys, { master }) => ({ ...keys, master_key: { ...master.key, user_id: '@bob:lethe.test' } })],
      ['a key for another usage', 'M_INVALID_PARAM', (keys, { selfSigning }) => ({ ...keys, master_key: selfSigning.key })],
      ['two keys in one', 'M_INVALID_PARAM', (keys, { master, selfSigning }) => ({ ...keys, master_key: { ...master.key, keys: { ...(master.key.keys as JsonObject), ...(selfSigning.key.keys as JsonObject) } } })],
      ['a key under the name of another', 'M_INVALID_PARAM', (keys, { master, selfSigning }) => ({ ...keys, master_key: { ...master.key, keys: { [`ed25519:${selfSigning.publicKey}`]: master.publicKey } } })],
      ['a key that is none', 'M_INVALID_PARAM', (keys, { master }) => ({ ...keys, master_key: { ...master.key, keys: { 'ed25519:AAAA': 'AAAA' } } })],
      ['a self-signing key that is not signed', 'M_INVALID_SIGNATURE', (keys, { selfSigning }) => ({ ...keys, self_signing_key: selfSigning.key })],
      ['a user-signing key that another key signed', 'M_INVALID_SIGNATURE', (keys, { selfSigning, userSigning }) => ({ ...keys, user_signing_key: selfSigning.sign(userSigning.key) })],
      ['a key that was changed after it was signed', 'M_INVALID_SIGNATURE', keys => ({ ...keys, self_signing_key: { ...(keys.self_signing_key as JsonObject), extra: 1 } })],
    ] // prettier-ignore
    it.each(cases)('%s', async (_name, errcode, spoil) => {
      const body = spoil(alice.identity.upload(), alice.identity)
      expect(await refusal(alice.person, '/keys/device_signing/upload', body)).toEqual([400, errcode])
      expect((await query(alice.person, alice.person)).master_keys).toEqual({})
    })

    it('a key that is named like a device', async () => {
      const deviceId = alice.identity.master.publicKey
      await alice.person.login({ device_id: deviceId })
      expect(await refusal(alice.person, '/keys/device_signing/upload', alice.identity.upload())).toEqual([403, 'M_FORBIDDEN']) // prettier-ignore
    })
  })
})

describe('POST /keys/signatures/upload', () => {
  const upload = async (person: Person, userId: string, keyName: string, key: JsonObject): Promise<string | null> => {
    const { failures } = await person.post('/keys/signatures/upload', { [userId]: { [keyName]: key } })
    if (Object.keys(failures as JsonObject).length === 0) return null
    return at(failures, userId, keyName, 'errcode') as string
  }

  it("adds the self-signing key's signature to a device, for everybody to see", async () => {
    const { person, device, identity } = await crossSigned()
    const signed = identity.selfSigning.sign(device.deviceKeys())
    expect(await upload(person, person.userId, person.deviceId, signed)).toBeNull()
    const bob = await register(server)
    for (const viewer of [person, bob]) {
      expect(at(await query(viewer, person), 'device_keys', person.userId, person.deviceId)).toEqual(signed)
    }
    // A client that did not hear of it sends it again.
    expect(await upload(person, person.userId, person.deviceId, signed)).toBeNull()
  })

  it("adds a device's signature to the master key, for everybody to see", async () => {
    const { person, device, identity } = await crossSigned()
    const signed = device.sign(identity.master.key)
    expect(await upload(person, person.userId, identity.master.publicKey, signed)).toBeNull()
    const bob = await register(server)
    expect((await query(bob, person)).master_keys).toEqual({ [person.userId]: signed })
  })

  it("shows the signature over another's master key to the signer alone", async () => {
    const [alice, bob, carol] = [await crossSigned(), await crossSigned(), await crossSigned()]
    const { master } = bob.identity
    const signed = alice.identity.userSigning.sign(master.key)
    expect(await upload(alice.person, bob.person.userId, master.publicKey, signed)).toBeNull()
    const seenBy = async ({ person }: Client) => at(await query(person, bob.person), 'master_keys', bob.person.userId)
    expect(await seenBy(alice)).toEqual(signed)
    expect(await seenBy(bob)).toEqual(master.key)
    expect(await seenBy(carol)).toEqual(master.key)
  })

  it('forgets signatures over and by keys that are replaced', async () => {
    const { person, device, identity } = await crossSigned()
    await upload(person, person.userId, person.deviceId, identity.selfSigning.sign(device.deviceKeys()))
    const successor = new CrossSigningIdentity(person.userId).upload()
    const challenge = await person.request('POST', '/keys/device_signing/upload', successor)
    await person.post('/keys/device_signing/upload', { ...successor, auth: password(person, challenge.json as JsonObject) }) // prettier-ignore
    expect(at(await query(person, person), 'device_keys', person.userId, person.deviceId)).toEqual(device.deviceKeys())
    const { rows } = await server.ctx.db.pool.query(
      'SELECT FROM key_signatures JOIN users ON user_number = signer_number WHERE user_id = $1',
      [person.userId],
    )
    expect(rows).toEqual([])
  })

  describe('refuses, naming the key and storing nothing,', () => {
    let alice: Client
    let bob: Client
    beforeAll(async () => {
      alice = await crossSigned()
      bob = await crossSigned()
    })
    const forged = (key: JsonObject, signer: string, keyId: string): JsonObject => ({
      ...key,
      signatures: { [signer]: { [keyId]: 'A'.repeat(86) } },
    })
    const cases: [string, string, () => [string, string, JsonObject]][] = [
      ['a forged signature over a device', 'M_INVALID_SIGNATURE', () => [alice.person.userId, alice.person.deviceId, forged(alice.device.deviceKeys(), alice.person.userId, `ed25519:${alice.identity.selfSigning.publicKey}`)]],
      ['a device signed by the master key', 'M_INVALID_SIGNATURE', () => [alice.person.userId, alice.person.deviceId, alice.identity.master.sign(alice.device.deviceKeys())]],
      ['a device signed by another user', 'M_INVALID_SIGNATURE', () => [alice.person.userId, alice.person.deviceId, bob.identity.selfSigning.sign(alice.device.deviceKeys())]],
      ['a device that is not as it was uploaded', 'M_INVALID_SIGNATURE', () => [alice.person.userId, alice.person.deviceId, alice.identity.selfSigning.sign({ ...alice.device.deviceKeys(), algorithms: [] })]],
      ['a device that does not exist', 'M_NOT_FOUND', () => [alice.person.userId, 'NOPE', alice.identity.selfSigning.sign({ ...alice.device.deviceKeys(), device_id: 'NOPE' })]],
      ['a forged signature over the master key', 'M_INVALID_SIGNATURE', () => [alice.person.userId, alice.identity.master.publicKey, forged(alice.identity.master.key, alice.person.userId, `ed25519:${alice.person.deviceId}`)]],
      ['a master key without signatures', 'M_INVALID_SIGNATURE', () => [alice.person.userId, alice.identity.master.publicKey, alice.identity.master.key]],
      ["a device's signature over the self-signing key", 'M_NOT_FOUND', () => [alice.person.userId, alice.identity.selfSigning.publicKey, alice.device.sign(alice.identity.selfSigning.key)]],
      ["another's device", 'M_NOT_FOUND', () => [bob.person.userId, bob.person.deviceId, alice.identity.userSigning.sign(bob.device.deviceKeys())]],
      ["another's master key signed by the self-signing key", 'M_INVALID_SIGNATURE', () => [bob.person.userId, bob.identity.master.publicKey, alice.identity.selfSigning.sign(bob.identity.master.key)]],
      ["another's master key with a forged signature", 'M_INVALID_SIGNATURE', () => [bob.person.userId, bob.identity.master.publicKey, forged(bob.identity.master.key, alice.person.userId, `ed25519:${alice.identity.userSigning.publicKey}`)]],
      ["another's master key that they do not have", 'M_NOT_FOUND', () => { const key = new CrossSigningKey(bob.person.userId, 'master'); return [bob.person.userId, key.publicKey, alice.identity.userSigning.sign(key.key)] }],
      ['the key of a user who does not exist', 'M_NOT_FOUND', () => { const key = new CrossSigningKey('@nobody-of-this-name:lethe.test', 'master'); return [key.userId, key.publicKey, alice.identity.userSigning.sign(key.key)] }],
      ['the key of what is no user', 'M_INVALID_PARAM', () => ['nobody', 'X', alice.identity.userSigning.sign(bob.identity.master.key)]],
    ] // prettier-ignore
    it.each(cases)('%s', async (_name, errcode, attempt) => {
      const [userId, keyName, key] = attempt()
      expect(await upload(alice.person, userId, keyName, key)).toBe(errcode)
      const { rows } = await server.ctx.db.pool.query(
        'SELECT FROM key_signatures JOIN users ON user_number = signer_number WHERE user_id = $1',
        [alice.person.userId],
      )
      expect(rows).toEqual([])
    })

    it('what is no key', async () => {
      const { failures } = await alice.person.post('/keys/signatures/upload', { [alice.person.userId]: { X: 5 } })
      expect(at(failures, alice.person.userId, 'X', 'errcode')).toBe('M_BAD_JSON')
    })

    it('the bad ones among good ones', async () => {
      const { person, device, identity } = await crossSigned()
      const good = identity.selfSigning.sign(device.deviceKeys())
      const { failures } = await person.post('/keys/signatures/upload', { [person.userId]: { [person.deviceId]: good, NOPE: good } }) // prettier-ignore
      expect(Object.keys(at(failures, person.userId) as JsonObject)).toEqual(['NOPE'])
      expect(at(await query(person, person), 'device_keys', person.userId, person.deviceId)).toEqual(good)
    })
  })
})
