import Type from 'typebox'
import {
  allSessions, backedUpSession, deleteRoomKeys, putRoomKeys, roomKey, roomKeys, roomSessions,
} from '../../../encryption/key-backup.ts' // prettier-ignore
import { roomId, schemas, string } from '../../../http/decoders.ts'
import { endpoint, Reply } from '../../../http/endpoint.ts'
import { type JsonObject } from '../../../protocol/json.ts'
import { type BackupCounts } from '../../../storage/key-backups.ts'

const path = '/_matrix/client/v3/room_keys/keys'
/** Clients upload a hundred keys at once; who imports an old backup may send it in one piece. */
const bodyLimitBytes = 16 * 1024 * 1024
const json = { headers: { 'Content-Type': 'application/json' } }

function answer({ etag, sessionCount }: BackupCounts): JsonObject {
  return { etag: String(etag), count: sessionCount }
}

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeys */
export const putKeys = endpoint({
  method: 'PUT',
  path,
  auth: 'user',
  limit: 'light',
  query: { version: string },
  body: Type.Object({ rooms: schemas.object }),
  bodyLimitBytes,
  handle: async (ctx, { caller, query, body }) =>
    answer(await putRoomKeys(ctx, caller, query.version, allSessions(body.rooms))),
})

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeys */
export const getKeys = endpoint({
  method: 'GET',
  path,
  auth: 'user',
  limit: 'light',
  query: { version: string },
  handle: async (ctx, { caller, query }) => new Reply(await roomKeys(ctx, caller, query.version, null), json),
})

/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keyskeys */
export const deleteKeys = endpoint({
  method: 'DELETE',
  path,
  auth: 'user',
  limit: 'light',
  query: { version: string },
  handle: async (ctx, { caller, query }) =>
    answer(await deleteRoomKeys(ctx, caller, query.version, { roomId: null, sessionId: null })),
})

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeysroomid */
export const putKeysOfRoom = endpoint({
  method: 'PUT',
  path: `${path}/:roomId`,
  auth: 'user',
  limit: 'light',
  params: { roomId },
  query: { version: string },
  body: Type.Object({ sessions: schemas.object }),
  bodyLimitBytes,
  handle: async (ctx, { caller, params, query, body }) =>
    answer(await putRoomKeys(ctx, caller, query.version, roomSessions(params.roomId, body.sessions))),
})

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeysroomid */
export const getKeysOfRoom = endpoint({
  method: 'GET',
  path: `${path}/:roomId`,
  auth: 'user',
  limit: 'light',
  params: { roomId },
  query: { version: string },
  handle: async (ctx, { caller, params, query }) =>
    new Reply(await roomKeys(ctx, caller, query.version, params.roomId), json),
})

/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keyskeysroomid */
export const deleteKeysOfRoom = endpoint({
  method: 'DELETE',
  path: `${path}/:roomId`,
  auth: 'user',
  limit: 'light',
  params: { roomId },
  query: { version: string },
  handle: async (ctx, { caller, params, query }) =>
    answer(await deleteRoomKeys(ctx, caller, query.version, { roomId: params.roomId, sessionId: null })),
})

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeysroomidsessionid */
export const putKey = endpoint({
  method: 'PUT',
  path: `${path}/:roomId/:sessionId`,
  auth: 'user',
  limit: 'light',
  params: { roomId, sessionId: string },
  query: { version: string },
  body: schemas.object,
  handle: async (ctx, { caller, params, query, body }) => {
    const session = backedUpSession(params.roomId, params.sessionId, body)
    return answer(await putRoomKeys(ctx, caller, query.version, [session]))
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeysroomidsessionid */
export const getKey = endpoint({
  method: 'GET',
  path: `${path}/:roomId/:sessionId`,
  auth: 'user',
  limit: 'light',
  params: { roomId, sessionId: string },
  query: { version: string },
  handle: (ctx, { caller, params, query }) => roomKey(ctx, caller, query.version, params.roomId, params.sessionId),
})

/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keyskeysroomidsessionid */
export const deleteKey = endpoint({
  method: 'DELETE',
  path: `${path}/:roomId/:sessionId`,
  auth: 'user',
  limit: 'light',
  params: { roomId, sessionId: string },
  query: { version: string },
  handle: async (ctx, { caller, params, query }) => answer(await deleteRoomKeys(ctx, caller, query.version, params)),
})
