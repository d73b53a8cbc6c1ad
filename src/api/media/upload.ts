import * as decoders from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'
import { fileName, mediaId } from '../../media/parameters.ts'
import { fillMedia, uploadMedia } from '../../media/upload.ts'
import { mxcUri } from '../../protocol/media-id.ts'

const query = { filename: decoders.withDefault(fileName, null) }

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav3upload */
export const postUpload = endpoint({
  method: 'POST',
  path: '/_matrix/media/v3/upload',
  // Old bots and bridges.
  aliases: ['/_matrix/media/r0/upload', '/_matrix/media/v1/upload'],
  auth: 'user',
  limit: 'mediaCreate',
  query,
  body: 'stream',
  handle: async (ctx, { caller, query, upload }) => {
    const id = await uploadMedia(ctx, caller, { ...upload, fileName: query.filename })
    return { content_uri: mxcUri(ctx.serverName, id) }
  },
})

/** https://spec.matrix.org/v1.19/client-server-api/#put_matrixmediav3uploadservernamemediaid */
export const putUpload = endpoint({
  method: 'PUT',
  path: '/_matrix/media/v3/upload/:serverName/:mediaId',
  auth: 'user',
  limit: 'light',
  params: { serverName: decoders.serverName, mediaId },
  query,
  body: 'stream',
  handle: async (ctx, { caller, params, query, upload }) => {
    await fillMedia(ctx, caller, params.serverName, params.mediaId, { ...upload, fileName: query.filename })
    return {}
  },
})
