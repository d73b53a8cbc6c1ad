import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { EventType, type MatrixEvent, MsgType, Preset } from 'matrix-js-sdk'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { eventually, message, room, type SdkDevice, sdkDevice } from './sdk-client.ts'

const lifetimeMs = 4_000
const password = 'a long enough password'

let server: TestServer
const devices: SdkDevice[] = []

async function device(username: string, isNew: boolean, forgets: boolean): Promise<SdkDevice> {
  const one = await sdkDevice(server.url, { username, password, isNew, forgets })
  devices.push(one)
  return one
}

beforeAll(async () => {
  server = await startTestServer({ clock: 'system', settings: { retention: { sweep_interval: '1s' } } })
}, 60_000)
afterAll(async () => {
  for (const one of devices) await one.stop()
  await server?.close()
})

const timeline = (of: SdkDevice, roomId: string): MatrixEvent[] =>
  of.client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? []
const bodies = (of: SdkDevice, roomId: string): string[] =>
  timeline(of, roomId).flatMap(event => {
    const body: unknown = event.getContent()['body']
    return typeof body === 'string' ? [body] : []
  })

describe('a client with the retention support of matrix-js-sdk', () => {
  it('removes what the server has forgotten, keeps what has no lifetime, and a client that comes anew is shown nothing old', async () => {
    const alice = await device('alice', true, true)
    const bob = await device('bob', true, true)
    const plain = await device('bob', false, false)
    const roomOf = async () => {
      const { room_id: roomId } = await alice.client.createRoom({ preset: Preset.PrivateChat, invite: [bob.userId] })
      await room(bob, roomId, 'invite')
      await bob.client.joinRoom(roomId)
      return roomId
    }
    const [fleeting, lasting] = [await roomOf(), await roomOf()]
    const say = (roomId: string, body: string) => alice.client.sendMessage(roomId, { msgtype: MsgType.Text, body })
    const olds: string[] = []
    for (let number = 1; number <= 5; number++) olds.push((await say(fleeting, `hazel ${number}`)).event_id)
    await say(lasting, 'hazel that stays')
    for (const one of [alice, bob, plain]) {
      await message(one, fleeting, 'hazel 5')
      await message(one, lasting, 'hazel that stays')
    }
    expect(bodies(bob, fleeting)).toHaveLength(5)

    await alice.client.sendStateEvent(fleeting, EventType.RetentionPolicy, { max_lifetime: lifetimeMs }, '')
    for (const one of [alice, bob]) {
      await eventually(one, 'the end of what was said', () => bodies(one, fleeting).length === 0)
      expect(bodies(one, lasting)).toEqual(['hazel that stays'])
      for (const event of timeline(one, fleeting).filter(each => olds.includes(each.getId() ?? ''))) {
        expect(event.isRedacted()).toBe(true)
      }
    }
    // It is the client that removed them: one without that support shows what it was told before.
    expect(bodies(plain, fleeting)).toHaveLength(5)
    for (const eventId of olds) {
      await expect(alice.client.fetchRoomEvent(fleeting, eventId)).rejects.toMatchObject({ errcode: 'M_NOT_FOUND' })
    }

    // The server tells a new client nothing old, whatever that client supports.
    for (const forgets of [false, true]) {
      const fresh = await device('bob', false, forgets)
      await room(fresh, fleeting, 'join')
      await message(fresh, lasting, 'hazel that stays')
      expect(bodies(fresh, fleeting).filter(body => body.startsWith('hazel'))).toEqual([])
      const shown = fresh.client.getRoom(fleeting)
      if (shown) await fresh.client.scrollback(shown, 100)
      expect(bodies(fresh, fleeting).filter(body => body.startsWith('hazel'))).toEqual([])
      await say(fleeting, `new ${String(forgets)}`)
      await message(fresh, fleeting, `new ${String(forgets)}`)
    }
  }, 90_000)
})
