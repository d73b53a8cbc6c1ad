import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type Context } from '../../src/context.ts'
import { deviceMessages, receiveToDevice, sendToDevice } from '../../src/encryption/send-to-device.ts'
import {
  acknowledgeMessages, pendingMessages, queueLimit, type ReceivingDevice, trimLongQueue,
} from '../../src/encryption/to-device.ts' // prettier-ignore
import { type User } from '../../src/http/endpoint.ts'
import { type UserId } from '../../src/protocol/identifiers.ts'
import { storageContext, type StorageContext } from '../harness/storage-context.ts'
import { localUser } from './local-user.ts'

let storage: StorageContext
let ctx: Context
beforeAll(async () => {
  storage = await storageContext()
  ctx = storage.ctx
})
afterAll(() => storage.close())

let users = 0
const someone = () => localUser(ctx, `user${++users}`, 'D')

function receiving({ userId, userNumber, deviceId }: User): ReceivingDevice {
  if (deviceId === null) throw new Error('this user has a device')
  return { userId, userNumber, deviceId }
}

let transactions = 0
const send = (from: User, to: User, label: string | number) =>
  sendToDevice(ctx, from, 'm.test', `t${++transactions}`, deviceMessages({ [to.userId]: { [to.deviceId ?? '*']: { label } } })) // prettier-ignore

const labels = async (device: User, upTo = ctx.log.head, limit?: number, on = ctx) => {
  const { messages, more } = await pendingMessages(on, receiving(device), upTo, limit)
  return [messages.map(each => (JSON.parse(each.content) as { label: unknown }).label), more]
}

describe('messages to a device', () => {
  it('wait in the order they were sent until they are acknowledged', async () => {
    const [alice, bob] = [await someone(), await someone()]
    for (let label = 1; label <= 5; label++) await send(alice, bob, label)
    expect(await labels(bob)).toEqual([[1, 2, 3, 4, 5], false])
    expect(await labels(bob, undefined, 3)).toEqual([[1, 2, 3], true])
    const { messages } = await pendingMessages(ctx, receiving(bob), ctx.log.head)
    expect(messages[0]).toMatchObject({ sender: alice.userId, type: 'm.test' })
    await acknowledgeMessages(ctx, receiving(bob), messages[2]?.position ?? 0)
    expect(await labels(bob)).toEqual([[4, 5], false])
    await acknowledgeMessages(ctx, receiving(bob), ctx.log.head)
    expect(await labels(bob)).toEqual([[], false])
    await send(alice, bob, 6)
    expect(await labels(bob)).toEqual([[6], false])
  })

  it('are told up to a position and no further', async () => {
    const [alice, bob] = [await someone(), await someone()]
    await send(alice, bob, 1)
    const between = ctx.log.head
    await send(alice, bob, 2)
    expect(await labels(bob, between)).toEqual([[1], false])
    await acknowledgeMessages(ctx, receiving(bob), between)
    expect(await labels(bob, between)).toEqual([[], false])
    expect(await labels(bob)).toEqual([[2], false])
  })

  it('are seen by every process, whichever they were sent to or acknowledged at', async () => {
    const other = await storage.another()
    const [alice, bob] = [await someone(), await someone()]
    const elsewhere = async () => {
      await other.ctx.log.reached(ctx.log.head, 5_000)
      return labels(bob, other.ctx.log.head, undefined, other.ctx)
    }
    expect([await labels(bob), await elsewhere()]).toEqual([[[], false], [[], false]]) // prettier-ignore
    await send(alice, bob, 1)
    expect([await labels(bob), await elsewhere()]).toEqual([[[1], false], [[1], false]]) // prettier-ignore
    await acknowledgeMessages(other.ctx, receiving(bob), other.ctx.log.head)
    expect([await labels(bob), await elsewhere()]).toEqual([[[], false], [[], false]]) // prettier-ignore
    await send(alice, bob, 2)
    expect([await labels(bob), await elsewhere()]).toEqual([[[2], false], [[2], false]]) // prettier-ignore
    await other.close()
  })

  it('are asked of the database only while some may wait', async () => {
    const [alice, bob] = [await someone(), await someone()]
    await send(alice, bob, 1)
    const { messages } = await pendingMessages(ctx, receiving(bob), ctx.log.head)
    await acknowledgeMessages(ctx, receiving(bob), ctx.log.head)
    // Nobody is told of a row that did not come through the log: that it is not found shows that nobody looked.
    await ctx.db.pool.query(
      `INSERT INTO to_device_messages (position, user_number, device_id, sender_number, type, content)
       VALUES ($1, $2, 'D', $3, 'm.test', '\\x00' || '{"label":"unseen"}'::bytea)`,
      [messages[0]?.position, bob.userNumber, alice.userNumber],
    )
    expect(await labels(bob)).toEqual([[], false])
    await acknowledgeMessages(ctx, receiving(bob), ctx.log.head)
    await send(alice, bob, 2)
    expect(await labels(bob)).toEqual([['unseen', 2], false])
  })

  it('that came from another server reach local devices and nobody else', async () => {
    const bob = await someone()
    const before = ctx.log.head
    await receiveToDevice(
      ctx,
      '@mallory:elsewhere.test' as UserId, // It is one.
      'm.test',
      deviceMessages({
        [bob.userId]: { D: { label: 1 }, NOPE: { label: 2 } },
        '@carol:third.test': { C: { label: 3 } },
      }),
    )
    expect(await labels(bob)).toEqual([[1], false])
    expect(ctx.log.head).toBe(before + 1)
  })

  it('are dropped when there are far too many, those of whoever sent most first', async () => {
    const [alice, mallory, bob] = [await someone(), await someone(), await someone()]
    await send(alice, bob, 'from alice')
    await trimLongQueue(ctx, receiving(bob))
    for (let sent = 0; sent < queueLimit + 500; sent += 2_000) {
      await ctx.log.post(
        Array.from({ length: 2_000 }, () => ({
          kind: 'to_device' as const,
          userId: bob.userId,
          deviceId: receiving(bob).deviceId,
          sender: mallory.userId,
          type: 'm.test',
          content: '{"label":"flood"}',
        })),
      )
    }
    await send(alice, bob, 'from alice too')
    const { rows } = await ctx.db.pool.query(
      `SELECT count(*) AS n, count(*) FILTER (WHERE sender_number = $2) AS alice FROM to_device_messages WHERE user_number = $1`,
      [bob.userNumber, alice.userNumber],
    )
    expect(rows).toEqual([{ n: queueLimit, alice: 2 }])
  })
})
