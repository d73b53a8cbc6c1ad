import { createHash, createHmac } from 'node:crypto'
import { type Context, perServer } from '../context.ts'
import { type RecordAdminUse } from '../http/authenticate-port.ts'
import { auditedUses, insertAuditedUse } from '../storage/admin-audit.ts'
import { transaction } from '../storage/database.ts'

const minuteMs = 60_000
const hashBytes = 16

/**
 * The key of the hashes of targets. It is made from a signature that nothing else asks for, which for Ed25519 is the same
 * every time: whoever has the database and not the signing key can neither read nor guess whom a use was about.
 */
const targetKeyOf = perServer(ctx => createHash('sha256').update(ctx.signingKey.sign('lethe: audit targets')).digest())

/** What stands in the audit for the values of a path's parameters; `null` where there are none. */
export function targetHash(ctx: Context, targets: readonly string[]): Buffer | null {
  if (targets.length === 0) return null
  return createHmac('sha256', targetKeyOf(ctx)).update(targets.join('\0')).digest().subarray(0, hashBytes)
}

/** Writes down what an administrator is about to do: who, which endpoint, the hash of whom or what, and the minute. */
export const recordAdminUse: RecordAdminUse = async (ctx, caller, { method, pattern, targets }) => {
  const now = ctx.clock.now()
  const use = {
    method,
    endpoint: pattern,
    targetHash: targetHash(ctx, targets),
    minuteTs: now - (now % minuteMs),
  }
  await transaction(ctx.db, tx => insertAuditedUse(tx, caller.userNumber, use))
}

/** The audit, the newest use first. `target`: only what was about exactly these values of the path's parameters. */
export function readAudit(
  ctx: Context,
  wanted: { readonly before: number | null; readonly target: readonly string[] | null; readonly limit: number },
): ReturnType<typeof auditedUses> {
  const { before, target, limit } = wanted
  return auditedUses(ctx.db.kysely, { before, targetHash: target && targetHash(ctx, target), limit })
}
