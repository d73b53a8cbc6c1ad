import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import {
  isCompliantUserId,
  isHistoricalLocalpart,
  isStrictLocalpart,
  localpartOf,
  parseDeviceId,
  parseEventId,
  parseRoomAlias,
  parseRoomId,
  parseServerName,
  parseUserId,
  roomAliasOf,
  serverNameOf,
  serverNameOfEvent,
  serverNameOfRoom,
  userIdOf,
} from '../../src/protocol/identifiers.ts'

const hash = 'Nhcu5BS-UMnFX7hBVfVSoXiD7OgH6iRT-xyIuqDnpYQ'

/** For names that the test itself wrote: a parser that refuses them fails the test. */
function must<T>(parsed: T | null): T {
  if (parsed === null) throw new Error('the test holds a malformed identifier')
  return parsed
}

describe('server names', () => {
  it.each([
    'matrix.org',
    'matrix.org:8888',
    '1.2.3.4',
    '1.2.3.4:1234',
    '[1234:5678::abcd]',
    '[1234:5678::abcd]:5678',
    'localhost',
    'MATRIX.org',
    'a-b.c',
    '[::]',
    '[::1]:443',
    '[1:2:3:4:5:6:7:8]',
    '[::ffff:1.2.3.4]',
    '[1:2:3:4:5:6:1.2.3.4]',
    'example.org:65535',
  ])('accepts %s', name => expect(parseServerName(name)).toBe(name))

  it.each([
    '',
    ':8448',
    'example.org:',
    'example.org:123456',
    'example.org:65536',
    'example.org:80:80',
    'example.org:8o',
    'exa mple.org',
    'exämple.org',
    'under_score.org',
    'example.org/path',
    'user@example.org',
    '256.1.1.1',
    '1.2.3.4444',
    '[]',
    '[:]',
    '[1::2::3]',
    '[1:2:3:4:5:6:7]',
    '[1:2:3:4:5:6:7:8:9]',
    '[1:2:3:4:5:6:7:8::]',
    '[12345::]',
    '[g::]',
    '[1.2.3.4::]',
    '[::256.1.1.1]',
    '[fe80::1%eth0]',
    '[::1]443',
    '[::1',
    '::1',
    'a\0b',
    'example.org\n',
    `${'a'.repeat(256)}`,
  ])('refuses %j', name => expect(parseServerName(name)).toBeNull())
})

describe('user IDs', () => {
  it.each([
    '@alice:example.org',
    '@alice:example.org:8448',
    '@a:[::1]:8448',
    '@a=b/c+d._-:x',
    '@Ärger und 😀:x',
    '@:x',
  ])('accepts %s', id => expect(parseUserId(id)).toBe(id))

  it.each([
    '',
    '@',
    'alice:example.org',
    '@alice',
    '@alice:',
    '#alice:example.org',
    '@al\0ice:example.org',
    '@a\ud800:example.org',
    '@alice:exa mple.org',
    '@alice:example.org:8448:1',
    `@${'a'.repeat(250)}:x.org`,
    `@${'é'.repeat(126)}:x.org`,
  ])('refuses %j', id => expect(parseUserId(id)).toBeNull())

  it('count their length in bytes, up to 255', () => {
    const longest = `@${'é'.repeat(124)}:x.org`
    expect(Buffer.byteLength(longest)).toBe(255)
    expect(parseUserId(longest)).toBe(longest)
    expect(parseUserId(`@a${longest.slice(1)}`)).toBeNull()
  })

  it('keep the port and the brackets of their server', () => {
    const id = must(parseUserId('@alice:[::1]:8448'))
    expect(serverNameOf(id)).toBe('[::1]:8448')
    expect(localpartOf(id)).toBe('alice')
  })

  it('are put together only from what fits', () => {
    const server = must(parseServerName('example.org:8448'))
    expect(userIdOf('alice', server)).toBe('@alice:example.org:8448')
    expect(userIdOf('al:ice', server)).toBeNull()
    expect(userIdOf('a'.repeat(239), server)).toBeNull()
    expect(userIdOf('al\0ice', server)).toBeNull()
  })

  it('may be historical, while a new localpart may not', () => {
    for (const good of ['alice', 'a.b_c=d-e/f+g0']) {
      expect(isStrictLocalpart(good)).toBe(true)
      expect(isHistoricalLocalpart(good)).toBe(true)
    }
    for (const old of ['', 'Alice', 'al ice', 'é', 'a*']) {
      expect(isStrictLocalpart(old)).toBe(false)
      expect(isHistoricalLocalpart(old)).toBe(true)
    }
    for (const bad of ['a:b', 'a\0', 'a\udc00']) {
      expect(isStrictLocalpart(bad)).toBe(false)
      expect(isHistoricalLocalpart(bad)).toBe(false)
    }
    expect(isStrictLocalpart('alice\n')).toBe(false)
    expect(isStrictLocalpart('a'.repeat(256))).toBe(false)
  })

  it('outside of printable ASCII are not compliant', () => {
    expect(isCompliantUserId(must(parseUserId('@Alice!:x')))).toBe(true)
    expect(isCompliantUserId(must(parseUserId('@:x')))).toBe(false)
    expect(isCompliantUserId(must(parseUserId('@a b:x')))).toBe(false)
    expect(isCompliantUserId(must(parseUserId('@é:x')))).toBe(false)
  })
})

describe('room IDs, aliases, event IDs and device IDs', () => {
  it('accept both forms of a room ID and tell which server it names', () => {
    expect(serverNameOfRoom(must(parseRoomId('!opaque:example.org:8448')))).toBe('example.org:8448')
    expect(serverNameOfRoom(must(parseRoomId(`!${hash}`)))).toBeNull()
  })

  it.each(['', '!', '!a:', '!a:b c', '#a:b', '!a\0:b', '!\ud800:b', `!${'a'.repeat(255)}`])(
    'refuse the room ID %j',
    id => expect(parseRoomId(id)).toBeNull(),
  )

  it('accept all three forms of an event ID', () => {
    expect(serverNameOfEvent(must(parseEventId('$143273582443PhrSn:example.org')))).toBe('example.org')
    expect(serverNameOfEvent(must(parseEventId('$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk')))).toBeNull()
    expect(parseEventId(`$${hash}`)).toBe(`$${hash}`)
  })

  it.each(['', '$', '$a:', '!a', '$a\0', '$\udfff', `$${'a'.repeat(255)}`])('refuse the event ID %j', id =>
    expect(parseEventId(id)).toBeNull(),
  )

  it('accept an alias with a name, and refuse one without', () => {
    expect(localpartOf(must(parseRoomAlias('#日本 語:example.org')))).toBe('日本 語')
    expect(roomAliasOf('lobby', must(parseServerName('example.org')))).toBe('#lobby:example.org')
    for (const bad of ['#:example.org', '#lobby', 'lobby:example.org', '#lob\0by:x', '#lobby:x y']) {
      expect(parseRoomAlias(bad)).toBeNull()
    }
  })

  it('leave device IDs opaque within 255 bytes', () => {
    expect(parseDeviceId('AAA bb:😀')).toBe('AAA bb:😀')
    for (const bad of ['', 'a\0', '\ud800', 'a'.repeat(256), 'é'.repeat(128)]) expect(parseDeviceId(bad)).toBeNull()
  })
})

it('parsers of identifiers never throw, and what they accept is well-formed and short', () => {
  const parsers = [parseUserId, parseRoomId, parseRoomAlias, parseEventId, parseServerName, parseDeviceId]
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.string({
      unit: fc.constantFrom('@', '!', '#', '$', ':', 'a', '1', '.', '[', ']', '\0', '\ud800', 'é'),
      maxLength: 40,
    }),
  )
  fc.assert(
    fc.property(text, fc.constantFrom(...parsers), (input, parse) => {
      const parsed = parse(input)
      if (parsed === null) return
      expect(parsed).toBe(input)
      expect(input.isWellFormed()).toBe(true)
      expect(input).not.toContain('\0')
      expect(Buffer.byteLength(input)).toBeLessThanOrEqual(255)
    }),
    { numRuns: Number(process.env['PROPERTY_RUNS'] ?? 500) },
  )
})
