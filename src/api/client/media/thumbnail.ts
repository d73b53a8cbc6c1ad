import * as decoders from '../../../http/decoders.ts'
import { endpoint, Reply } from '../../../http/endpoint.ts'
import { defaultDownloadTimeoutMs } from '../../../media/download.ts'
import { mediaHeaders } from '../../../media/headers.ts'
import { mediaId } from '../../../media/parameters.ts'
import { openThumbnail } from '../../../media/thumbnail.ts'

const pixels = decoders.integer({ min: 1 })

const query = {
  width: pixels,
  height: pixels,
  method: decoders.withDefault(decoders.oneOf('crop', 'scale'), 'scale'),
  animated: decoders.withDefault(decoders.boolean, false),
  timeout_ms: decoders.withDefault(decoders.integer({ min: 0 }), defaultDownloadTimeoutMs),
}

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid */
export const getThumbnail = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/media/thumbnail/:serverName/:mediaId',
  auth: 'guest',
  limit: 'light',
  params: { serverName: decoders.serverName, mediaId },
  query,
  handle: async (ctx, { params, query, end }) => {
    const thumbnail = await openThumbnail(ctx, {
      ...params,
      width: query.width,
      height: query.height,
      method: query.method,
      isAnimated: query.animated,
      timeoutMs: query.timeout_ms,
      end,
    })
    return new Reply(thumbnail.stream, { headers: mediaHeaders(thumbnail) })
  },
})
