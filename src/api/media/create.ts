import { endpoint } from '../../http/endpoint.ts'
import { createMedia } from '../../media/upload.ts'
import { mxcUri } from '../../protocol/media-id.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav1create */
export const postCreate = endpoint({
  method: 'POST',
  path: '/_matrix/media/v1/create',
  auth: 'user',
  limit: 'mediaCreate',
  handle: async (ctx, { caller }) => {
    const { mediaId, expiresTs } = await createMedia(ctx, caller)
    return { content_uri: mxcUri(ctx.serverName, mediaId), unused_expires_at: expiresTs }
  },
})
