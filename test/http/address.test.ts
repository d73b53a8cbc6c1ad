import { describe, expect, it } from '@jest/globals'
import { type IncomingMessage } from 'node:http'
import { clientAddress, createAddressKeys, parseRanges } from '../../src/http/address.ts'
import { systemRandom } from '../../src/random.ts'
import { TestClock } from '../harness/clock.ts'

const proxies = parseRanges(['10.0.0.0/8', '192.0.2.7', '2001:db8:1::/48'])

function addressOf(remote: string | undefined, forwardedFor?: string): string | null {
  return clientAddress(remote, forwardedFor, proxies)?.toString() ?? null
}

describe('the address of a client', () => {
  it('is that of the connection, whatever a stranger claims', () => {
    expect(addressOf('198.51.100.1')).toBe('198.51.100.1')
    expect(addressOf('198.51.100.1', '203.0.113.9')).toBe('198.51.100.1')
  })

  it('is what a trusted proxy says', () => {
    expect(addressOf('10.1.2.3', '203.0.113.9')).toBe('203.0.113.9')
    expect(addressOf('192.0.2.7', '203.0.113.9')).toBe('203.0.113.9')
    expect(addressOf('::ffff:10.1.2.3', '203.0.113.9')).toBe('203.0.113.9')
    expect(addressOf('2001:db8:1::5', '2001:db8:9::1')).toBe('2001:db8:9::1')
  })

  it('is what the outermost trusted proxy saw, not what the client made up', () => {
    expect(addressOf('10.1.2.3', '1.2.3.4, 203.0.113.9, 10.9.9.9')).toBe('203.0.113.9')
  })

  it('is the nearest that is known when a hop is not an address', () => {
    expect(addressOf('10.1.2.3', '203.0.113.9, unknown')).toBe('10.1.2.3')
    expect(addressOf('10.1.2.3', '')).toBe('10.1.2.3')
    expect(addressOf(undefined, '203.0.113.9')).toBeNull()
  })

  it('is not searched for in an endless header', () => {
    expect(addressOf('10.1.2.3', `203.0.113.9, ${Array(50).fill('10.0.0.1').join(', ')}`)).toBe('10.0.0.1')
  })

  it('is IPv4 where IPv6 only wraps it', () => {
    expect(addressOf('::ffff:198.51.100.1')).toBe('198.51.100.1')
    expect(addressOf('fe80::1%eth0')).toBe('fe80::1')
  })

  it('refuses ranges that are none', () => {
    expect(() => parseRanges(['10.0.0.0/99'])).toThrow(RangeError)
    expect(() => parseRanges(['everybody'])).toThrow('"everybody"')
  })
})

describe('the key that stands for an address', () => {
  const clock = new TestClock()
  const keyOf = createAddressKeys(clock, systemRandom, [])
  // All that is read of a request is its socket's address and its headers.
  const from = (remoteAddress: string) =>
    keyOf({ socket: { remoteAddress }, headers: {} } as unknown as IncomingMessage)

  it('tells addresses apart without saying them', () => {
    expect(from('198.51.100.1')).toBe(from('::ffff:198.51.100.1'))
    expect(from('198.51.100.1')).not.toBe(from('198.51.100.2'))
    expect(from('198.51.100.1')).not.toContain('198')
  })

  it('is one for an IPv6 network of 64 bits', () => {
    expect(from('2001:db8::1')).toBe(from('2001:db8::ffff:1'))
    expect(from('2001:db8::1')).not.toBe(from('2001:db8:0:1::1'))
  })

  it('is another one tomorrow', async () => {
    const today = from('198.51.100.1')
    await clock.advance(86_400_000)
    expect(from('198.51.100.1')).not.toBe(today)
  })

  it('is another one on another server', () => {
    const other = createAddressKeys(clock, systemRandom, [])
    const request = { socket: { remoteAddress: '198.51.100.1' }, headers: {} } as unknown as IncomingMessage
    expect(other(request)).not.toBe(keyOf(request))
  })
})
