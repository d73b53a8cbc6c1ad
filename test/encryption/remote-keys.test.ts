import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { claimOneTimeKeys, wantedKeys } from '../../src/encryption/claim-keys.ts'
import { uploadSignatures } from '../../src/encryption/key-signatures.ts'
import { queryKeys, wantedDevices } from '../../src/encryption/query-keys.ts'
import { uploadCrossSigningKeys } from '../../src/encryption/cross-signing.ts'
import { type Context } from '../../src/context.ts'
import { notFound } from '../../src/errors.ts'
import { type User } from '../../src/http/endpoint.ts'
import { type ServerName } from '../../src/protocol/identifiers.ts'
import { type JsonObject } from '../../src/protocol/json.ts'
import { storageContext, type StorageContext } from '../harness/storage-context.ts'
import { localUser } from './local-user.ts'
import { CrossSigningIdentity, OlmDevice } from './olm-device.ts'

const bob = { userId: '@bob:elsewhere.test', deviceId: 'BOB' }
let storage: StorageContext
let alice: User
beforeAll(async () => {
  storage = await storageContext()
  alice = await localUser(storage.ctx, 'alice', 'ALICE')
})
afterAll(() => storage.close())

/** The context with other servers that answer so. */
function withRemote(answer: (server: ServerName, request: JsonObject) => Promise<JsonObject>): Context {
  const remote = { ...storage.ctx.remote, enabled: true, queryKeys: answer, claimKeys: answer }
  return { ...storage.ctx, remote }
}

const answering = (answer: JsonObject) => withRemote(() => Promise.resolve(answer))
const askBob = (ctx: Context) => queryKeys(ctx, alice, wantedDevices({ [bob.userId]: [] }), null)

describe('keys of other servers', () => {
  it('are asked of the server that each user belongs to', async () => {
    const asked: [ServerName, JsonObject][] = []
    const ctx = withRemote((server, request) => {
      asked.push([server, request])
      return Promise.resolve({})
    })
    await queryKeys(ctx, alice, wantedDevices({ '@a:one.test': [], '@b:two.test': ['X'], '@c:one.test': [], [alice.userId]: [] }), null) // prettier-ignore
    expect(asked).toEqual([
      ['one.test', { device_keys: { '@a:one.test': [], '@c:one.test': [] } }],
      ['two.test', { device_keys: { '@b:two.test': ['X'] } }],
    ])
  })

  it('are passed on', async () => {
    const keys = new OlmDevice(bob).deviceKeys()
    const identity = new CrossSigningIdentity(bob.userId).upload()
    const found = await askBob(answering({
      device_keys: { [bob.userId]: { [bob.deviceId]: keys } },
      master_keys: { [bob.userId]: identity.master_key },
      self_signing_keys: { [bob.userId]: identity.self_signing_key },
    })) // prettier-ignore
    expect(found.deviceKeys.get(bob.userId)).toEqual({ [bob.deviceId]: keys })
    expect(found.masterKeys.get(bob.userId)).toEqual(identity.master_key)
    expect(found.selfSigningKeys.get(bob.userId)).toEqual(identity.self_signing_key)
    expect(found.failures).toEqual({})
  })

  it('are left out when they are of a user or a device that the server was not asked about', async () => {
    const keys = new OlmDevice(bob).deviceKeys()
    const identity = new CrossSigningIdentity(bob.userId).upload()
    const found = await askBob(answering({
      device_keys: { [alice.userId]: { ALICE: keys }, [bob.userId]: { OTHER: keys, BAD: 5 } },
      master_keys: { [alice.userId]: identity.master_key, [bob.userId]: new CrossSigningIdentity(alice.userId).upload().master_key }, // prettier-ignore
      user_signing_keys: { [bob.userId]: identity.user_signing_key },
    })) // prettier-ignore
    expect([...found.deviceKeys]).toEqual([[bob.userId, {}]])
    expect([...found.masterKeys]).toEqual([])
    expect([...found.userSigningKeys]).toEqual([])
  })

  it('are missing when their server fails, which is told', async () => {
    const ctx = withRemote(server => (server === 'one.test' ? Promise.reject(notFound()) : Promise.resolve({ device_keys: { '@b:two.test': {} } }))) // prettier-ignore
    const found = await queryKeys(ctx, alice, wantedDevices({ '@a:one.test': [], '@b:two.test': [] }), null)
    expect(Object.keys(found.failures)).toEqual(['one.test'])
    expect([...found.deviceKeys.keys()]).toEqual(['@b:two.test'])
  })

  it('are waited for no longer than the client wants', async () => {
    const ctx = withRemote(() => new Promise(() => {}))
    const answer = askBob(ctx)
    while (storage.clock.pending === 0) await new Promise(setImmediate)
    await storage.clock.advance(10_000)
    expect((await answer).failures).toMatchObject({ 'elsewhere.test': { errcode: 'M_CONNECTION_TIMEOUT' } })
    expect(storage.clock.pending).toBe(0)
  })

  it('are asked of five hundred servers at most for one request', async () => {
    let asked = 0
    const ctx = withRemote(() => {
      asked += 1
      return Promise.resolve({})
    })
    const users = Object.fromEntries(Array.from({ length: 510 }, (_, number) => [`@u:server${number}.test`, []]))
    const { failures } = await queryKeys(ctx, alice, wantedDevices(users), null)
    expect([asked, Object.keys(failures).length]).toEqual([500, 10])
  })

  it('are claimed there, and only what was asked for is believed', async () => {
    const [[id = '', key = {}] = []] = Object.entries(new OlmDevice(bob).oneTimeKeys(1))
    const ctx = answering({
      one_time_keys: {
        [bob.userId]: { [bob.deviceId]: { [id]: key }, OTHER: { [id]: key } },
        [alice.userId]: { ALICE: { [id]: key } },
      },
    })
    const wanted = wantedKeys({ [bob.userId]: { [bob.deviceId]: 'signed_curve25519' } })
    const claimed = await claimOneTimeKeys(ctx, wanted, null)
    expect(claimed).toEqual({ oneTimeKeys: { [bob.userId]: { [bob.deviceId]: { [id]: key } } }, failures: {} })
  })

  it('can be signed, and show the signature to the signer', async () => {
    const own = new CrossSigningIdentity(alice.userId)
    const { master_key, self_signing_key, user_signing_key } = own.upload()
    await uploadCrossSigningKeys(storage.ctx, alice, new Map([['master', master_key], ['self_signing', self_signing_key], ['user_signing', user_signing_key]]), null) // prettier-ignore
    const theirs = new CrossSigningIdentity(bob.userId)
    const ctx = answering({ device_keys: { [bob.userId]: {} }, master_keys: { [bob.userId]: theirs.master.key } })
    const signed = own.userSigning.sign(theirs.master.key)
    const failures = await uploadSignatures(ctx, alice, { [bob.userId]: { [theirs.master.publicKey]: signed } })
    expect(failures).toEqual(new Map())
    expect((await askBob(ctx)).masterKeys.get(bob.userId)).toEqual(signed)
    const carol = await localUser(storage.ctx, 'carol', 'CAROL')
    const seen = await queryKeys(ctx, carol, wantedDevices({ [bob.userId]: [] }), null)
    expect(seen.masterKeys.get(bob.userId)).toEqual(theirs.master.key)
  })
})
