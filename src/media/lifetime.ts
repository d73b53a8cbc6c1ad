import { type Context } from '../context.ts'
import { type Media } from '../storage/media.ts'

/**
 * How long uploads live that nothing readable shows, in milliseconds; `null`: as long as the account. What is shown in encrypted
 * messages cannot be linked to them, so this is all that ends it.
 */
export function looseLifetimeMs(ctx: Context): number | null {
  return ctx.config.media.lifetime ?? ctx.config.retention.default.maxLifetime
}

/**
 * True if media is there for nobody any more, whether or not the sweeper has been there: it was never uploaded in time, the
 * last message or profile that showed it is gone, or nothing ever showed it and its lifetime is over.
 */
export function isVoid(ctx: Context, { file, expiresTs, createdTs, isHeld }: Media): boolean {
  const nowTs = ctx.clock.now()
  if (expiresTs !== null) return expiresTs <= nowTs
  const lifetimeMs = looseLifetimeMs(ctx)
  return file !== null && !isHeld && lifetimeMs !== null && createdTs + lifetimeMs <= nowTs
}
