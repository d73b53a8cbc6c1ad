import { type Call } from './connection.ts'
import { type JsonObject } from './answers.ts'

/** An account with one signed-in device. */
export type Person = { readonly userId: string; readonly token: string; readonly deviceId: string }

const client = '/_matrix/client/v3'

/** A text of exactly 100 bytes that begins with `marker`, which must be ASCII and shorter. */
export function hundredBytes(marker = ''): string {
  return marker.padEnd(100, '.')
}

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid */
export function sendMessage(person: Person, roomId: string, transactionId: string, text: string): Call {
  return {
    method: 'PUT',
    path: `${client}/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${transactionId}`,
    token: person.token,
    body: JSON.stringify({ msgtype: 'm.text', body: text }),
  }
}

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey (no state key) */
export function setState(person: Person, roomId: string, type: string, content: JsonObject): Call {
  return {
    method: 'PUT',
    path: `${client}/rooms/${encodeURIComponent(roomId)}/state/${type}/`,
    token: person.token,
    body: JSON.stringify(content),
  }
}

/** A room that is not listed. In private ones the server may insist on encryption: plain messages go to public ones.
 *  https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom */
export function createRoom(person: Person, preset: 'private_chat' | 'public_chat'): Call {
  return {
    method: 'POST',
    path: `${client}/createRoom`,
    token: person.token,
    body: JSON.stringify({ preset, visibility: 'private' }),
    keepBody: true,
  }
}

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3joinroomidoralias */
export function joinRoom(person: Person, roomId: string): Call {
  return { method: 'POST', path: `${client}/join/${encodeURIComponent(roomId)}`, token: person.token, body: '{}' }
}

/** What to ask of `/sync`; a missing `since` asks for everything. */
export type SyncQuery = { readonly since?: string; readonly timeoutMs: number; readonly filter?: JsonObject }

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync (without presence, which would be noise) */
export function sync(person: Person, query: SyncQuery): Call {
  const parameters = new URLSearchParams({ set_presence: 'offline', timeout: String(query.timeoutMs) })
  if (query.since !== undefined) parameters.set('since', query.since)
  if (query.filter !== undefined) parameters.set('filter', JSON.stringify(query.filter))
  return {
    method: 'GET',
    path: `${client}/sync?${parameters}`,
    token: person.token,
    timeoutMs: query.timeoutMs + 30_000,
    keepBody: true,
  }
}

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages (backwards) */
export function olderMessages(person: Person, roomId: string, from: string | null, limit = 100): Call {
  const parameters = new URLSearchParams({ dir: 'b', limit: String(limit) })
  if (from !== null) parameters.set('from', from)
  return {
    method: 'GET',
    path: `${client}/rooms/${encodeURIComponent(roomId)}/messages?${parameters}`,
    token: person.token,
    keepBody: true,
  }
}

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload (`body` is serialised already) */
export function uploadKeys(person: Person, body: string): Call {
  return { method: 'POST', path: `${client}/keys/upload`, token: person.token, body }
}

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery (all devices of the given users) */
export function queryKeys(person: Person, userIds: readonly string[]): Call {
  const body = JSON.stringify({ device_keys: Object.fromEntries(userIds.map(userId => [userId, []])) })
  return { method: 'POST', path: `${client}/keys/query`, token: person.token, body }
}

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysclaim (one key of one device) */
export function claimKey(person: Person, target: Person): Call {
  const body = JSON.stringify({ one_time_keys: { [target.userId]: { [target.deviceId]: 'signed_curve25519' } } })
  return { method: 'POST', path: `${client}/keys/claim`, token: person.token, body, keepBody: true }
}
