import { type JsonObject } from '../../src/protocol/json.ts'
import { exchange } from '../harness/exchange.ts'
import { at, path, type Person, register } from '../harness/people.ts'
import { type TestServer } from '../harness/server.ts'

/** Marks that a person leaves. `avatar` is the ID of their upload, which the server chooses. */
export const canaries = {
  name: 'Alice Canary Liddell',
  oldName: 'Alyss Canary',
  device: 'Alicecanary laptop',
  avatar: '',
  body: 'the walrus canary',
  edit: 'the carpenter canary',
  state: 'cheshire canary',
  topic: 'superseded canary',
  accountData: 'dormouse canary',
  profile: 'looking-glass canary',
  toDevice: 'jabberwock canary',
  fileName: 'hatter-canary.png',
  filter: 'm.room.tweedledum',
  reaction: 'mock turtle canary',
  reason: 'gryphon canary',
  transaction: 'txncanary',
}

export interface Scene {
  readonly room: string
  readonly messages: readonly string[]
}

/** A life of which traces are left in every table that a user can leave traces in. */
export async function live(server: TestServer, alice: Person, bob: Person): Promise<Scene> {
  const phone = await alice.login({ initial_device_display_name: canaries.device })
  const uploaded = await exchange(server.url, {
    method: 'POST',
    target: `/_matrix/media/v3/upload?filename=${encodeURIComponent(canaries.fileName)}`,
    token: alice.accessToken,
    body: 'a picture, as good as',
    headers: { 'content-type': 'text/plain' },
  })
  canaries.avatar = String(at(uploaded.json, 'content_uri')).replace('mxc://lethe.test/', '')
  await alice.put(path`/profile/${alice.userId}/displayname`, { displayname: canaries.oldName })
  await alice.put(path`/profile/${alice.userId}/avatar_url`, { avatar_url: String(at(uploaded.json, 'content_uri')) })
  await alice.put(path`/profile/${alice.userId}/m.about`, { 'm.about': canaries.profile })
  const room = await alice.createRoom({ invite: [bob.userId], topic: canaries.topic, name: 'Tea party' })
  await bob.join(room)
  const carol = await register(server)
  // Who has not answered yet was told the name of whoever invited them.
  await alice.invite(room, carol.userId)
  await alice.put(path`/profile/${alice.userId}/displayname`, { displayname: canaries.name })
  await alice.setState(room, 'm.room.topic', { topic: 'a topic in force' })
  await alice.setState(room, 'org.example.about', { text: canaries.state }, alice.userId)
  const first = await alice.send(room, canaries.body, undefined, canaries.transaction)
  const edit = await alice.send(room, {
    msgtype: 'm.text',
    body: canaries.edit,
    'm.relates_to': { rel_type: 'm.replace', event_id: first },
    'm.new_content': { msgtype: 'm.text', body: canaries.edit },
  })
  const theirs = await bob.send(room, 'tea?')
  await alice.send(room, { 'm.relates_to': { rel_type: 'm.annotation', event_id: theirs, key: canaries.reaction } }, 'm.reaction') // prettier-ignore
  await alice.acknowledge(room, theirs)
  await bob.acknowledge(room, first)
  await alice.put(path`/user/${alice.userId}/account_data/org.example`, { text: canaries.accountData })
  await alice.post(path`/user/${alice.userId}/filter`, { room: { timeline: { types: [canaries.filter] } } })
  await alice.put(path`/sendToDevice/org.example.note/${alice.nextTransactionId()}`, {
    messages: { [bob.userId]: { [bob.deviceId]: { text: canaries.toDevice } } },
  })
  await alice.post('/room_keys/version', { algorithm: 'm.megolm_backup.v1', auth_data: { public_key: 'x', signatures: {} } }) // prettier-ignore
  await alice.post('/keys/upload', { device_keys: deviceKeys(phone), one_time_keys: {} }).catch(() => undefined)
  const other = await alice.createRoom()
  await alice.leave(other, canaries.reason)
  const last = await alice.send(room, 'the last word of the canary')
  return { room, messages: [first, edit, last] }
}

function deviceKeys({ userId, deviceId }: Person): JsonObject {
  return { user_id: userId, device_id: deviceId, algorithms: [], keys: {}, signatures: {} }
}
