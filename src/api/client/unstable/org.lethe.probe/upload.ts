import { takeUpload } from '../../../../admin/probes.ts'
import { string } from '../../../../http/decoders.ts'
import { endpoint } from '../../../../http/endpoint.ts'

/** How an upload arrives that "lethe doctor" sends the way that clients' uploads come. */
export const probeUpload = endpoint({
  method: 'POST',
  path: '/_matrix/client/unstable/org.lethe.probe/:secret/upload',
  auth: 'none',
  limit: 'anonymous',
  params: { secret: string },
  body: 'stream',
  handle: async (ctx, { params, upload }) => ({ bytes: await takeUpload(ctx, params.secret, upload.stream) }),
})
