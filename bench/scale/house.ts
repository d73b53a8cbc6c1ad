import { type RoomId, type UserId, parseDeviceId, parseRoomId, parseUserId } from '../../src/protocol/identifiers.ts'
import { append } from '../../src/rooms/append.ts'
import { type RunningServer } from '../../src/server.ts'
import { requestHash } from '../../src/storage/transactions.ts'
import { jsonObject, stringMember } from '../answers.ts'
import { createRoom, hundredBytes, joinRoom, type Person } from '../calls.ts'
import { Connection, type Answer, type Call } from '../connection.ts'
import { ScenarioError } from '../errors.ts'
import { inParallel } from '../load.ts'
import { personOf, register } from '../register.ts'
import { type KeptHouse } from './kept-house.ts'

/** Messages that one append carries while the database is filled. */
const messagesPerAppend = 25
const appendsAtOnce = 16
const membersPerAppend = 50

/** A server with people and rooms in it, whose database can be made large quickly. */
export class House {
  readonly server: Pick<RunningServer, 'ctx' | 'url'>
  /** The rooms that share the messages. */
  readonly rooms: RoomId[] = []
  readonly #connection: Connection
  /** Begins every name of this run, so that a database that was kept has none of them yet. */
  readonly #run = Date.now().toString(36)
  #serial = 0

  constructor(server: Pick<RunningServer, 'ctx' | 'url'>, kept: Pick<KeptHouse, 'rooms'> | null = null) {
    this.server = server
    this.#connection = new Connection(server.url)
    if (kept) this.rooms.push(...kept.rooms)
  }

  close(): Promise<void> {
    return this.#connection.close()
  }

  /** A name that nothing else has. */
  uniqueName(): string {
    this.#serial += 1
    return `scale-${this.#run}-${this.#serial}`
  }

  /** Sends one request. Throws `ScenarioError` unless it succeeds. */
  async call(call: Call): Promise<Answer> {
    const answer = await this.#connection.request(call)
    if (answer.status !== 200) throw new ScenarioError(`${call.method} answered ${answer.status}`)
    return answer
  }

  async person(): Promise<Person> {
    const password = 'only for this run'
    const send = (call: Call): Promise<Answer> => this.#connection.request(call)
    return personOf(await register(send, { kind: 'dummy' }, this.uniqueName(), password))
  }

  /** A public room of the person's. */
  async makeRoom(creator: Person): Promise<RoomId> {
    const text = stringMember(jsonObject(await this.call(createRoom(creator, 'public_chat'))), 'room_id')
    const roomId = parseRoomId(text)
    if (roomId === null) throw new ScenarioError('the server made a room without a room ID')
    return roomId
  }

  /** Makes the rooms that the messages go to. `reader` joins the first `joined` of them. */
  async makeRooms(creator: Person, reader: Person, count: number, joined: number): Promise<void> {
    for (let index = 0; index < count; index++) {
      const roomId = await this.makeRoom(creator)
      if (index < joined) await this.call(joinRoom(reader, roomId))
      this.rooms.push(roomId)
    }
  }

  /** Adds at least so many messages of 100 bytes, spread over the rooms; each as a client's request would have. */
  async fill(sender: Person, count: number, progress: (done: number) => void): Promise<void> {
    const userId = parseUserId(sender.userId)
    const deviceId = parseDeviceId(sender.deviceId)
    if (userId === null || deviceId === null) throw new ScenarioError('the server made an account without a user ID')
    let done = 0
    await inParallel(Array.from({ length: Math.ceil(count / messagesPerAppend) }), appendsAtOnce, async (_, index) => {
      const roomId = this.rooms[index % this.rooms.length]
      if (roomId === undefined) throw new ScenarioError('there are no rooms')
      const texts = Array.from({ length: messagesPerAppend }, () => this.uniqueName())
      await append(this.server.ctx, roomId, async room => {
        for (const transactionId of texts) {
          const hash = requestHash([userId, deviceId, 'send', roomId, 'm.room.message', transactionId])
          await room.add({
            sender: userId,
            type: 'm.room.message',
            content: { msgtype: 'm.text', body: hundredBytes(transactionId) },
            transaction: { requestHash: hash, deviceId, transactionId },
          })
        }
      })
      done += messagesPerAppend
      progress(done)
    })
  }

  /** Lets so many users join a public room. They have no accounts: hashing their passwords would take longer than all else. */
  async crowd(roomId: RoomId, count: number): Promise<void> {
    const { ctx } = this.server
    for (let first = 0; first < count; first += membersPerAppend) {
      // They have the grammar of a user ID by construction.
      const userIds = Array.from(
        { length: Math.min(membersPerAppend, count - first) },
        () => `@${this.uniqueName()}:${ctx.serverName}` as UserId,
      )
      // All at once: one after another, each would be a transaction of its own.
      await Promise.all([ctx.numbers.users(userIds), ctx.numbers.stateKeys(userIds)])
      await append(ctx, roomId, async room => {
        for (const userId of userIds) {
          await room.add({
            sender: userId,
            type: 'm.room.member',
            stateKey: userId,
            content: { membership: 'join', displayname: userId.slice(1, 20) },
          })
        }
      })
    }
  }
}
