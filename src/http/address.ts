import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import { type IncomingMessage } from 'node:http'
import ipaddr from 'ipaddr.js'
import { type Clock } from '../clock.ts'
import { type Random } from '../random.ts'

type Address = ReturnType<typeof ipaddr.process>
type Range = ReturnType<typeof ipaddr.parseCIDR>

const dayMs = 86_400_000

/** Hops of `X-Forwarded-For` that are looked at: a longer chain of trusted proxies does not exist. */
const forwardedHopLimit = 10

/** Checks a list of addresses and CIDR ranges. Throws a `RangeError` that quotes the one that is neither. */
export function parseRanges(list: readonly string[]): readonly Range[] {
  return list.map(text => {
    try {
      if (text.includes('/')) return ipaddr.parseCIDR(text)
      const address = ipaddr.process(text)
      return [address, address.kind() === 'ipv4' ? 32 : 128]
    } catch {
      throw new RangeError(`"${text}" is neither an address nor a range of addresses`)
    }
  })
}

/**
 * The network address of whoever made the request, `null` when the socket is gone. `X-Forwarded-For` is believed from
 * right to left for as long as the hop that wrote it is a trusted proxy; from anybody else it is ignored.
 */
export function clientAddress(
  remoteAddress: string | undefined,
  forwardedFor: string | readonly string[] | undefined,
  trusted: readonly Range[],
): Address | null {
  let address = parseAddress(remoteAddress)
  if (!address || trusted.length === 0 || forwardedFor === undefined) return address
  const header = typeof forwardedFor === 'string' ? forwardedFor : forwardedFor.join(',')
  const hops = header.split(',').slice(-forwardedHopLimit)
  while (hops.length > 0 && isIn(address, trusted)) {
    const next = parseAddress(hops.pop()?.trim())
    if (!next) return address
    address = next
  }
  return address
}

/** True if an address lies in one of the networks of a list, which `parseRanges` takes. */
export function isAmong(address: string, list: readonly string[]): boolean {
  const parsed = parseAddress(address)
  return parsed !== null && isIn(parsed, parseRanges(list))
}

function parseAddress(text: string | undefined): Address | null {
  if (text === undefined) return null
  const bare = text.replace(/%.*$/, '')
  // `process` turns an IPv4 address that is written as IPv6 (::ffff:1.2.3.4) into the IPv4 address.
  return ipaddr.isValid(bare) ? ipaddr.process(bare) : null
}

function isIn(address: Address, ranges: readonly Range[]): boolean {
  // `match` throws when the kinds differ, so that is asked first.
  return ranges.some(([range, bits]) => range.kind() === address.kind() && address.match([range, bits] as never))
}

/** Those who share a bucket: one IPv4 address, or an IPv6 /64, which is what one subscriber gets. */
function networkOf(address: Address): string {
  const bytes = address.toByteArray()
  return Buffer.from(address.kind() === 'ipv6' ? bytes.slice(0, 8) : bytes).toString('hex')
}

/**
 * Gives keys for rate limits that stand for network addresses: an HMAC under a key that is random, held in memory only
 * and changed every day. Nobody can turn such a key back into an address, and after a day it is another one.
 */
export function createAddressKeys(
  clock: Clock,
  random: Random,
  trustedProxies: readonly string[],
): (request: IncomingMessage) => string {
  const trusted = parseRanges(trustedProxies)
  let day = -1
  let secret: KeyObject | null = null
  return request => {
    const today = Math.floor(clock.now() / dayMs)
    if (secret === null || today !== day) {
      day = today
      secret = createSecretKey(random.bytes(32))
    }
    const address = clientAddress(request.socket.remoteAddress, request.headers['x-forwarded-for'], trusted)
    const network = address ? networkOf(address) : 'unknown'
    return createHmac('sha256', secret).update(network).digest('base64url').slice(0, 22)
  }
}
