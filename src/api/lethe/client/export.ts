import { endpoint, Reply } from '../../../http/endpoint.ts'
import { exportOf } from '../../../privacy/export.ts'

/** Everything that this server keeps of whoever asks, as a ZIP. */
export const getExport = endpoint({
  method: 'GET',
  path: '/_lethe/client/v1/export',
  auth: 'user',
  limit: 'heavy',
  handle: async (ctx, { caller }) =>
    new Reply(await exportOf(ctx, caller), {
      headers: { 'Content-Type': 'application/zip', 'Content-Disposition': 'attachment; filename="export.zip"' },
    }),
})
