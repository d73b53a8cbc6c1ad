import { createJoinLink } from '../accounts/join-links.ts'
import { type Config } from '../config.ts'
import { type RunningServer } from '../server.ts'
import { countActiveAccounts } from '../storage/accounts.ts'

const dayMs = 86_400_000

/**
 * What is shown when the server is up: where it listens and, while nobody has an account, a link that makes the first one,
 * an administrator's. The link is good once, for a day; each start makes another.
 */
export async function welcome(server: RunningServer, config: Config): Promise<string> {
  const lines = [`Lethe is listening on ${server.url}, as ${config.serverName}.`]
  if ((await countActiveAccounts(server.ctx.db.kysely)) === 0) {
    const token = await createJoinLink(server.ctx, { isAdmin: true, usesAllowed: 1, lifetimeMs: dayMs })
    const base = (config.publicBaseUrl ?? reachable(server.url)).replace(/\/$/, '')
    lines.push('Create the first account, an administrator, here (good once, for 24 hours):', `  ${base}/join/${token}`)
  }
  return `${lines.join('\n')}\n`
}

/** A listener on all addresses is reached from the same machine under its loopback name. */
function reachable(url: string): string {
  const parsed = new URL(url)
  if (parsed.hostname === '0.0.0.0' || parsed.hostname === '[::]') parsed.hostname = 'localhost'
  return parsed.href
}
