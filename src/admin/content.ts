import { type Context } from '../context.ts'
import { forbidden } from '../errors.ts'

/**
 * Throws `forbidden` where the operator has not let administrators read what users wrote (`admin.content_access`). That
 * somebody tried stands in the audit all the same.
 */
export function requireContentAccess(ctx: Context): void {
  if (ctx.config.admin.contentAccess) return
  throw forbidden('Administrators of this server do not read content; admin.content_access in its settings allows it')
}
