import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createAccount } from '../../src/accounts/registration.ts'
import { type Context } from '../../src/context.ts'
import { type UserId, userIdOf } from '../../src/protocol/identifiers.ts'
import { putPushRule } from '../../src/protocol/push-rules/edit.ts'
import { editPushRules, pushRulesOf, pushRulesOfAll } from '../../src/push/rules.ts'
import { storageContext, type StorageContext } from '../harness/storage-context.ts'

let one: StorageContext
let other: StorageContext
beforeAll(async () => {
  one = await storageContext()
  other = await one.another()
})
afterAll(async () => {
  await other.close()
  await one.close()
})

async function newUser(name: string): Promise<{ userId: UserId; userNumber: number }> {
  const userId = userIdOf(name, one.ctx.serverName)
  if (userId === null) throw new Error('not a name')
  await createAccount(one.ctx, { userId, passwordHash: null, isAdmin: false })
  return { userId, userNumber: await one.ctx.numbers.user(userId) }
}

const noAnchor = { before: null, after: null }
const addRule = (ctx: Context, user: { userId: UserId; userNumber: number }, ruleId: string) =>
  editPushRules(ctx, user, stored => putPushRule(stored, { kind: 'room', ruleId }, noAnchor, { actions: [] }))
const idsOf = async (ctx: Context, userId: UserId) =>
  (await pushRulesOf(ctx, userId)).ruleset.room.map(rule => rule.rule_id)

describe('remembered push rules', () => {
  it('are read once', async () => {
    const { userId } = await newUser('alice')
    expect(await pushRulesOf(one.ctx, userId)).toBe(await pushRulesOf(one.ctx, userId))
  })

  it('are forgotten in every process when they change', async () => {
    const user = await newUser('bob')
    expect(await idsOf(one.ctx, user.userId)).toEqual([])
    expect(await idsOf(other.ctx, user.userId)).toEqual([])
    await addRule(one.ctx, user, 'a')
    expect(await idsOf(one.ctx, user.userId)).toEqual(['a'])
    expect(await other.ctx.log.reached(one.ctx.log.head, 10_000)).toBe(true)
    expect(await idsOf(other.ctx, user.userId)).toEqual(['a'])
  })

  it('are never older than the change that was heard of, however reading and changing meet', async () => {
    const user = await newUser('carol')
    for (let round = 0; round < 20; round += 1) {
      const reading = Array.from({ length: 5 }, () => idsOf(one.ctx, user.userId))
      await addRule(one.ctx, user, `rule${round}`)
      expect((await idsOf(one.ctx, user.userId)).length).toBe(round + 1)
      await Promise.all(reading)
      expect((await idsOf(one.ctx, user.userId)).length).toBe(round + 1)
    }
  })

  it('are read for many at once', async () => {
    const [dave, erin] = [await newUser('dave'), await newUser('erin')]
    await addRule(one.ctx, dave, 'a')
    const all = await pushRulesOfAll(one.ctx, [dave.userId, erin.userId, dave.userId])
    expect([...all].map(([userId, { ruleset }]) => [userId, ruleset.room.length])).toEqual([
      [dave.userId, 1],
      [erin.userId, 0],
    ])
    expect(all.get(dave.userId)).toBe(await pushRulesOf(one.ctx, dave.userId))
  })
})
