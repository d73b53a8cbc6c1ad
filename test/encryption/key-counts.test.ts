import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { claimLocalKeys, wantedKeys } from '../../src/encryption/claim-keys.ts'
import { keyCounts } from '../../src/encryption/key-counts.ts'
import { uploadKeys } from '../../src/encryption/upload-keys.ts'
import { type User } from '../../src/http/endpoint.ts'
import { type JsonObject } from '../../src/protocol/json.ts'
import { type DeviceId } from '../../src/protocol/identifiers.ts'
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

const threeKeys = { 'curve25519:A': 'a', 'curve25519:B': 'b', 'curve25519:C': 'c' }

const uploadAt = (storage: StorageContext, user: User, oneTimeKeys: JsonObject, fallbackKeys: JsonObject = {}) =>
  uploadKeys(storage.ctx, user, { deviceKeys: null, oneTimeKeys, fallbackKeys })

const claimAt = (storage: StorageContext, user: User) =>
  claimLocalKeys(storage.ctx, wantedKeys({ [user.userId]: { [user.deviceId ?? '']: 'curve25519' } }))

/** What a process tells of a user's device: how many one-time keys, and how many fallback keys that nobody has got. */
async function told(storage: StorageContext, { userId, userNumber, deviceId }: User): Promise<[number, number]> {
  // The users of these tests have devices.
  const counts = await keyCounts(storage.ctx, { userId, userNumber, deviceId: deviceId as DeviceId })
  return [counts.oneTime.get('curve25519') ?? 0, counts.unusedFallback.length]
}

/** Resolves when a process has heard of the next change of keys at another one. */
const heardAt = (storage: StorageContext) =>
  new Promise<void>(resolve => {
    const stop = storage.ctx.log.onBroadcast(({ kind }) => {
      if (kind !== 'keys') return
      stop()
      resolve()
    })
  })

describe('counts of keys', () => {
  it('are those after every upload and claim at the same process', async () => {
    const user = await localUser(one.ctx, 'alice', 'ALICE')
    expect(await told(one, user)).toEqual([0, 0])
    await uploadAt(one, user, threeKeys, { 'curve25519:F': { key: 'f' } })
    expect(await told(one, user)).toEqual([3, 1])
    for (const left of [2, 1, 0]) {
      await claimAt(one, user)
      expect(await told(one, user)).toEqual([left, 1])
    }
    await claimAt(one, user)
    expect(await told(one, user)).toEqual([0, 0])
  })

  it('are heard of from other processes', async () => {
    const user = await localUser(one.ctx, 'bob', 'BOB')
    expect([await told(one, user), await told(two, user)]).toEqual([
      [0, 0],
      [0, 0],
    ])
    const uploaded = heardAt(two)
    await uploadAt(one, user, threeKeys)
    await uploaded
    expect(await told(two, user)).toEqual([3, 0])
    const claimed = heardAt(one)
    await claimAt(two, user)
    await claimed
    expect([await told(one, user), await told(two, user)]).toEqual([
      [2, 0],
      [2, 0],
    ])
  })

  it('are remembered: without news they are not read again', async () => {
    const user = await localUser(one.ctx, 'carol', 'CAROL')
    await uploadAt(one, user, threeKeys)
    expect(await told(one, user)).toEqual([3, 0])
    // Nobody but this test takes keys without saying so.
    await one.ctx.db.pool.query('DELETE FROM one_time_keys WHERE user_number = $1', [user.userNumber])
    expect(await told(one, user)).toEqual([3, 0])
    await one.ctx.log.post([{ kind: 'session', userId: user.userId }])
    expect(await told(one, user)).toEqual([0, 0])
  })

  it('are not remembered past the loss of the connection on which others are heard', async () => {
    const user = await localUser(one.ctx, 'dave', 'DAVE')
    await uploadAt(one, user, threeKeys)
    expect(await told(one, user)).toEqual([3, 0])
    const before = one.ctx.log.hearing
    await two.ctx.db.pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND (query LIKE 'LISTEN%' OR query = 'SELECT')`,
    )
    while (one.ctx.log.hearing === before) await new Promise(setImmediate)
    // Whether or not it listens again by now: what happens at the other one meanwhile may not be missed.
    await claimAt(two, user)
    while (one.ctx.log.hearing === null) await new Promise(setImmediate)
    expect(await told(one, user)).toEqual([2, 0])
  })
})
