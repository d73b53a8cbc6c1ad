import Type from 'typebox'
import { backupInfo, changeBackup, createBackup, removeBackup } from '../../../encryption/key-backup.ts'
import { schemas, string } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { type JsonObject } from '../../../protocol/json.ts'
import { type KeyBackup } from '../../../storage/key-backups.ts'

const path = '/_matrix/client/v3/room_keys/version'

function answer(backup: KeyBackup): JsonObject {
  return {
    algorithm: backup.algorithm,
    auth_data: backup.authData,
    count: backup.sessionCount,
    etag: String(backup.etag),
    version: String(backup.version),
  }
}

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3room_keysversion */
export const postVersion = endpoint({
  method: 'POST',
  path,
  auth: 'user',
  limit: 'light',
  body: Type.Object({ algorithm: Type.String(), auth_data: schemas.object }),
  handle: async (ctx, { caller, body }) => ({
    version: await createBackup(ctx, caller, body.algorithm, body.auth_data),
  }),
})

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversion */
export const getCurrentVersion = endpoint({
  method: 'GET',
  path,
  auth: 'user',
  limit: 'light',
  handle: async (ctx, { caller }) => answer(await backupInfo(ctx, caller, null)),
})

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversionversion */
export const getVersion = endpoint({
  method: 'GET',
  path: `${path}/:version`,
  auth: 'user',
  limit: 'light',
  params: { version: string },
  handle: async (ctx, { caller, params }) => answer(await backupInfo(ctx, caller, params.version)),
})

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keysversionversion */
export const putVersion = endpoint({
  method: 'PUT',
  path: `${path}/:version`,
  auth: 'user',
  limit: 'light',
  params: { version: string },
  body: Type.Object({ algorithm: Type.String(), auth_data: schemas.object, version: Type.Optional(Type.String()) }),
  handle: async (ctx, { caller, params, body }) => {
    const change = { algorithm: body.algorithm, authData: body.auth_data, version: body.version ?? null }
    await changeBackup(ctx, caller, params.version, change)
    return {}
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keysversionversion */
export const deleteVersion = endpoint({
  method: 'DELETE',
  path: `${path}/:version`,
  auth: 'user',
  limit: 'light',
  params: { version: string },
  handle: async (ctx, { caller, params }) => {
    await removeBackup(ctx, caller, params.version)
    return {}
  },
})
