import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import {
  checkNewPassword, hashPassword, isOutdatedHash, verifyPassword, weakenPasswordHashes,
} from '../../src/accounts/passwords.ts' // prettier-ignore
import { MatrixError } from '../../src/errors.ts'
import { storageContext, type StorageContext } from '../harness/storage-context.ts'

let storage: StorageContext
beforeAll(async () => {
  storage = await storageContext()
})
afterAll(() => storage.close())

const errcodeOf = (error: unknown) => (error instanceof MatrixError ? error.errcode : error)

describe('passwords', () => {
  it('are hashed with argon2id, 19 MiB, two passes, and verified', async () => {
    const hash = await hashPassword(storage.ctx, 'correct horse')
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    expect(await verifyPassword(storage.ctx, hash, 'correct horse')).toBe(true)
    expect(await verifyPassword(storage.ctx, hash, 'correct house')).toBe(false)
    expect(isOutdatedHash(storage.ctx, hash)).toBe(false)
  })

  it('are wrong where there is no hash to compare them with', async () => {
    expect(await verifyPassword(storage.ctx, null, 'correct horse')).toBe(false)
  })

  it('take as long to be wrong for somebody unknown as for somebody known', async () => {
    const hash = await hashPassword(storage.ctx, 'correct horse')
    const median = async (of: string | null) => {
      const times: number[] = []
      for (let round = 0; round < 15; round += 1) {
        const started = performance.now()
        await verifyPassword(storage.ctx, of, 'wrong horse')
        times.push(performance.now() - started)
      }
      return times.sort((left, right) => left - right)[7] ?? 0
    }
    const known = await median(hash)
    const unknown = await median(null)
    // Hashing is what takes the time; without it the difference would be a hundredfold.
    expect(unknown).toBeGreaterThan(known / 3)
    expect(unknown).toBeLessThan(known * 3)
  })

  it('are not hashed in any number at once: the queue ends', async () => {
    weakenPasswordHashes(storage.ctx, { memoryCost: 1024, timeCost: 1, parallelism: 1 })
    const attempts = Array.from({ length: 60 }, () => hashPassword(storage.ctx, 'correct horse'))
    const outcomes = await Promise.allSettled(attempts)
    const refused = outcomes.filter(each => each.status === 'rejected')
    expect(refused).toHaveLength(60 - 2 - 32)
    expect(errcodeOf(refused[0]?.reason)).toBe('M_LIMIT_EXCEEDED')
    expect(await verifyPassword(storage.ctx, await hashPassword(storage.ctx, 'x'), 'x')).toBe(true)
  })

  it('must have eight characters, by code points, and at most 512 bytes', () => {
    const outcome = (password: string) => {
      try {
        checkNewPassword(password)
        return 'accepted'
      } catch (error) {
        return errcodeOf(error)
      }
    }
    expect(outcome('1234567')).toBe('M_WEAK_PASSWORD')
    expect(outcome('12345678')).toBe('accepted')
    expect(outcome('🐎🐎🐎🐎')).toBe('M_WEAK_PASSWORD')
    expect(outcome('a'.repeat(512))).toBe('accepted')
    expect(outcome('a'.repeat(513))).toBe('M_WEAK_PASSWORD')
  })

  it('of more than 512 bytes are wrong without being hashed', async () => {
    expect(await verifyPassword(storage.ctx, 'not even a hash', 'a'.repeat(513))).toBe(false)
  })
})
