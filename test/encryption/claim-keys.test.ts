import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { claimLocalKeys, wantedKeys } from '../../src/encryption/claim-keys.ts'
import { unusedFallbackKeyTypes, uploadKeys } from '../../src/encryption/upload-keys.ts'
import { type User } from '../../src/http/endpoint.ts'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { storageContext, type StorageContext } from '../harness/storage-context.ts'
import { localUser } from './local-user.ts'

let one: StorageContext
let two: StorageContext
beforeAll(async () => {
  one = await storageContext()
  two = await one.another()
})
afterAll(async () => {
  await two.close()
  await one.close()
})

const upload = (user: User, oneTimeKeys: JsonObject, fallbackKeys: JsonObject = {}) =>
  uploadKeys(one.ctx, user, { deviceKeys: null, oneTimeKeys, fallbackKeys })

/** The names of the keys that were claimed. */
function namesIn(answer: JsonObject): string[] {
  return Object.values(answer).flatMap(devices =>
    isJsonObject(devices) ? Object.values(devices).flatMap(keys => (isJsonObject(keys) ? Object.keys(keys) : [])) : [],
  )
}

const claimFrom = (storage: StorageContext, user: User, algorithm = 'curve25519') =>
  claimLocalKeys(storage.ctx, wantedKeys({ [user.userId]: { [user.deviceId ?? '']: algorithm } }))

describe('one-time keys', () => {
  it('are given out once, whoever asks and wherever', async () => {
    const user = await localUser(one.ctx, 'alice', 'ALICE')
    const keys = Object.fromEntries(
      Array.from({ length: 1000 }, (_, number) => [`curve25519:${number}`, `key ${number}`]),
    )
    await upload(user, keys)
    const claimed: string[] = []
    const claimer = async (storage: StorageContext) => {
      for (;;) {
        const names = namesIn(await claimFrom(storage, user))
        if (names.length === 0) return
        claimed.push(...names)
      }
    }
    await Promise.all(Array.from({ length: 32 }, (_, number) => claimer(number % 2 === 0 ? one : two)))
    expect(claimed).toHaveLength(1000)
    expect(new Set(claimed)).toEqual(new Set(Object.keys(keys)))
  })

  it('are given out in the order of their upload', async () => {
    const user = await localUser(one.ctx, 'bob', 'BOB')
    const names = Array.from({ length: 50 }, (_, number) => `curve25519:${(number * 7919) % 50}`)
    for (const name of names) await upload(user, { [name]: 'key' })
    const claimed: string[] = []
    for (const _name of names) claimed.push(...namesIn(await claimFrom(one, user)))
    expect(claimed).toEqual(names)
  })

  it('do not come back when an upload is repeated after some of them were given out', async () => {
    const user = await localUser(one.ctx, 'erin', 'ERIN')
    const keys = { 'other:A': { key: 'a', signatures: {} }, 'other:B': { key: 'b', signatures: {} } }
    const claim = async (storage: StorageContext) => namesIn(await claimFrom(storage, user, 'other'))
    await upload(user, keys)
    expect(await claim(two)).toEqual(['other:A'])
    const signedAnew = { 'other:A': { key: 'a', signatures: { [user.userId]: {} } }, 'other:B': keys['other:B'] }
    for (const repeated of [keys, signedAnew]) expect(await upload(user, repeated)).toEqual(new Map([['signed_curve25519', 0], ['other', 1]])) // prettier-ignore
    expect(await claim(one)).toEqual(['other:B'])
    expect(await claim(one)).toEqual([])
    // Another key may be called what one that is gone was called.
    await upload(user, { 'other:A': { key: 'another' } })
    expect(await claim(one)).toEqual(['other:A'])
  })

  it('come with what was uploaded of many devices at once', async () => {
    const users = await Promise.all(
      Array.from({ length: 20 }, (_, number) => localUser(one.ctx, `carol${number}`, 'C')),
    )
    for (const user of users) await upload(user, { 'curve25519:A': `of ${user.userId}` }, { 'other:F': { key: 'f' } })
    const wanted = Object.fromEntries(
      users.map((user, number) => [user.userId, { C: number % 2 === 0 ? 'curve25519' : 'other' }]),
    )
    expect(await claimLocalKeys(one.ctx, wantedKeys(wanted))).toEqual(
      Object.fromEntries(
        users.map((user, number) => [user.userId, { C: number % 2 === 0 ? { 'curve25519:A': `of ${user.userId}` } : { 'other:F': { key: 'f' } } }]), // prettier-ignore
      ),
    )
  })
})

describe('a fallback key', () => {
  it('counts as unused until somebody gets it, and again when there is a new one', async () => {
    const user = await localUser(one.ctx, 'dave', 'DAVE')
    const unused = () => unusedFallbackKeyTypes(one.ctx.db.kysely, user.userNumber, user.deviceId ?? ('' as never))
    expect(await unused()).toEqual([])
    await upload(user, { 'curve25519:A': 'once' }, { 'curve25519:F': { key: 'first', fallback: true } })
    expect(namesIn(await claimFrom(one, user))).toEqual(['curve25519:A'])
    expect(await unused()).toEqual(['curve25519'])
    const answers = await Promise.all(
      Array.from({ length: 16 }, (_, number) => claimFrom(number % 2 ? one : two, user)),
    )
    expect(answers.flatMap(namesIn)).toEqual(Array.from({ length: 16 }, () => 'curve25519:F'))
    expect(await unused()).toEqual([])
    // The same key again is as used as before.
    await upload(user, {}, { 'curve25519:F': { key: 'first', fallback: true } })
    expect(await unused()).toEqual([])
    await upload(user, {}, { 'curve25519:G': { key: 'second', fallback: true } })
    expect(await unused()).toEqual(['curve25519'])
  })
})

describe('claims', () => {
  it('of users of other servers are none of ours', async () => {
    expect(await claimLocalKeys(one.ctx, wantedKeys({ '@alice:elsewhere.test': { ALICE: 'curve25519' } }))).toEqual({})
  })
})
