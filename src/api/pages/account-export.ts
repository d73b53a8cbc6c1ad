import { endpoint, Reply } from '../../http/endpoint.ts'
import { exportOf } from '../../privacy/export.ts'
import { show } from './signed-in.ts'

/** Everything that this server keeps of whoever asks, as a ZIP to keep. */
export const getExportPage = endpoint({
  method: 'GET',
  path: '/account/export',
  auth: 'none',
  limit: 'heavy',
  handle: (ctx, request) =>
    show(
      ctx,
      request,
      async ({ visitor }) =>
        new Reply(await exportOf(ctx, visitor), {
          headers: { 'Content-Type': 'application/zip', 'Content-Disposition': 'attachment; filename="export.zip"' },
        }),
    ),
})
