import { createJoinLink } from '../accounts/join-links.ts'
import { type Config } from '../config.ts'
import { type RunningServer } from '../server.ts'
import { countActiveAccounts } from '../storage/accounts.ts'
import { type Outcome } from './command.ts'

const dayMs = 86_400_000

/**
 * What is shown when the server is up: where it listens and, while nobody has an account, a link that makes the first one,
 * an administrator's. The link is good once, for a day; each start makes another.
 */
export async function welcome(server: RunningServer, config: Config): Promise<Outcome> {
  const lines = [`Lethe is listening on ${server.url}, as ${config.serverName}.`]
  const json = { url: server.url, admin_url: server.adminUrl, server_name: config.serverName }
  if (server.adminUrl !== null) lines.push(`Administrators reach it on ${server.adminUrl}.`)
  if ((await countActiveAccounts(server.ctx.db.kysely)) > 0) return { json, lines }
  const token = await createJoinLink(server.ctx, { isAdmin: true, usesAllowed: 1, lifetimeMs: dayMs })
  const link = joinAddress(config.publicBaseUrl ?? server.url, token)
  lines.push('Create the first account, an administrator, here (good once, for 24 hours):', `  ${link}`)
  return { json: { ...json, first_account: link }, lines }
}

/** Where a server on this machine is reached, as far as the settings say; without a slash at its end. */
export function addressOf({ publicBaseUrl, listen: { host, port } }: Config): string {
  const url = publicBaseUrl ?? `http://${host.includes(':') ? `[${host}]` : host}:${port}`
  return reachable(url).replace(/\/$/, '')
}

/** The address of the page on which a link makes an account. `base`: where the server is reached. */
export function joinAddress(base: string, token: string): string {
  return `${reachable(base).replace(/\/$/, '')}/join/${token}`
}

/** A listener on all addresses is reached from the same machine under its loopback name. */
function reachable(url: string): string {
  const parsed = new URL(url)
  if (parsed.hostname === '0.0.0.0' || parsed.hostname === '[::]') parsed.hostname = 'localhost'
  return parsed.href
}
