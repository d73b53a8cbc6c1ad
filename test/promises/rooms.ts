import { type JsonObject } from '../../src/protocol/json.ts'
import { type Person } from '../harness/people.ts'

export const hour = 3_600_000
export const day = 24 * hour

const related = (rel_type: string, event_id: string, more: JsonObject = {}): JsonObject => ({
  msgtype: 'm.text',
  'm.relates_to': { rel_type, event_id },
  ...more,
})

/** A room with messages of every kind in it, every one of which holds the word. */
export interface Populated {
  readonly room: string
  /** A sync token from before the first message. */
  readonly since: string
  readonly root: string
  /** The IDs of the messages. */
  readonly messages: readonly string[]
}

/** `lifetimeMs` null: the room says nothing. `more` is in the content of every message, where clients put timers. */
export async function populatedRoom(
  alice: Person,
  bob: Person,
  word: string,
  lifetimeMs: number | null,
  more: JsonObject = {},
): Promise<Populated> {
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  if (lifetimeMs !== null) await alice.setState(room, 'm.room.retention', { max_lifetime: lifetimeMs })
  const since = await bob.now()
  const text = (body: string): JsonObject => ({ msgtype: 'm.text', body: `${word} ${body}`, ...more })
  const root = await alice.send(room, text('root'))
  const reply = await alice.send(room, related('m.thread', root, text('reply')))
  const edit = await alice.send(
    room,
    related('m.replace', root, { ...text('edit'), 'm.new_content': { msgtype: 'm.text', body: `${word} edited` } }),
  )
  const reference = await alice.send(room, related('m.reference', root, text('reference')))
  const reaction = await bob.send(room, { 'm.relates_to': { rel_type: 'm.annotation', event_id: root, key: word }, ...more }, 'm.reaction') // prettier-ignore
  const encrypted = await alice.send(room, { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: word, ...more }, 'm.room.encrypted') // prettier-ignore
  const last = await alice.send(room, text(`hey ${bob.userId} last`))
  await bob.acknowledge(room, reply, 'm.read.private')
  await bob.acknowledge(room, root, 'm.fully_read')
  return { room, since, root, messages: [root, reply, edit, reference, reaction, encrypted, last] }
}
