import * as decoders from '../../../http/decoders.ts'
import { endpoint, Reply } from '../../../http/endpoint.ts'
import { defaultDownloadTimeoutMs, openMedia, type OpenMedia } from '../../../media/download.ts'
import { mediaHeaders } from '../../../media/headers.ts'
import { fileName, mediaId } from '../../../media/parameters.ts'

const timeoutMs = decoders.withDefault(decoders.integer({ min: 0 }), defaultDownloadTimeoutMs)

const reply = (media: OpenMedia): Reply => new Reply(media.stream, { headers: mediaHeaders(media) })

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediadownloadservernamemediaid */
export const getDownload = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/media/download/:serverName/:mediaId',
  auth: 'guest',
  limit: 'light',
  params: { serverName: decoders.serverName, mediaId },
  query: { timeout_ms: timeoutMs },
  handle: async (ctx, { params, query, end }) =>
    reply(await openMedia(ctx, { ...params, timeoutMs: query.timeout_ms, end })),
})

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediadownloadservernamemediaidfilename */
export const getDownloadAs = endpoint({
  method: 'GET',
  path: '/_matrix/client/v1/media/download/:serverName/:mediaId/:fileName',
  auth: 'guest',
  limit: 'light',
  params: { serverName: decoders.serverName, mediaId, fileName },
  query: { timeout_ms: timeoutMs },
  handle: async (ctx, { params, query, end }) => {
    const media = await openMedia(ctx, { ...params, timeoutMs: query.timeout_ms, end })
    return reply({ ...media, fileName: params.fileName })
  },
})
