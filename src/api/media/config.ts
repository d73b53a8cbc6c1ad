import { endpoint } from '../../http/endpoint.ts'

/** Deprecated, and still what older clients ask. https://spec.matrix.org/v1.19/client-server-api/#get_matrixmediav3config */
export const getConfig = endpoint({
  method: 'GET',
  path: '/_matrix/media/v3/config',
  aliases: ['/_matrix/media/r0/config', '/_matrix/media/v1/config'],
  auth: 'user',
  limit: 'light',
  handle: ctx => ({ 'm.upload.size': ctx.config.media.maxUploadBytes }),
})
