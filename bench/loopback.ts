import { lookup as systemLookup } from 'node:dns/promises'
import ipaddr from 'ipaddr.js'
import { UsageError } from './errors.ts'

/** Resolves a host name to all its addresses. */
export type Lookup = (hostname: string) => Promise<readonly string[]>

/** The system's resolver. */
export const resolveAll: Lookup = async hostname =>
  (await systemLookup(hostname, { all: true })).map(entry => entry.address)

/** True for 127.0.0.0/8, ::1 and the IPv4-mapped form of the former. False for what is not an address. */
export function isLoopbackAddress(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.process(address).range() === 'loopback'
}

/**
 * Refuses every host that is not this machine, since the generator is a denial of service against whatever it is
 * pointed at. `hostname` may be an address (IPv6 with or without brackets) or a name; a name passes only if all its
 * addresses are loopback. Hosts in `allowed` (compared exactly, without brackets) pass unresolved.
 * Throws `UsageError`.
 */
export async function requireLoopback(
  hostname: string,
  allowed: readonly string[],
  lookup: Lookup = resolveAll,
): Promise<void> {
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  if (allowed.includes(host)) return
  if (ipaddr.isValid(host)) {
    if (isLoopbackAddress(host)) return
  } else {
    const addresses = await lookup(host).catch(() => [])
    if (addresses.length > 0 && addresses.every(isLoopbackAddress)) return
  }
  throw new UsageError(
    `${host} is not this machine; load only servers that are yours, and name them: --allow-host ${host}`,
  )
}
