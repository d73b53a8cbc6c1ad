import { endpoint } from '../../../http/endpoint.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediaconfig */
export const getMediaConfig = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/media/config',
  auth: 'user',
  limit: 'light',
  handle: ctx => ({ 'm.upload.size': ctx.config.media.maxUploadBytes }),
})
