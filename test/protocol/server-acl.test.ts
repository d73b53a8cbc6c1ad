import { describe, expect, it } from '@jest/globals'
import { type ServerName } from '../../src/protocol/identifiers.ts'
import { type JsonObject } from '../../src/protocol/json.ts'
import { compileServerAcl, serverAllowed } from '../../src/protocol/server-acl.ts'

/** Test names stand for names that the edge has parsed. */
const name = (text: string): ServerName => text as ServerName
const allows = (content: JsonObject | undefined, server: string): boolean => serverAllowed(content, name(server))

describe('a server ACL', () => {
  it('that does not exist lets everybody in', () => {
    expect(allows(undefined, 'example.org')).toBe(true)
    expect(allows(undefined, '1.2.3.4')).toBe(true)
    expect(compileServerAcl(undefined).allows(name('example.org'))).toBe(true)
  })

  it.each([
    ['example.org', true],
    ['evil.example', false],
    ['EVIL.example', false],
    ['evil.EXAMPLE:8448', false],
    ['evil.example:1', false],
    ['sub.evil.example', true],
    ['a.bad.example', false],
    ['a.b.BAD.example:443', false],
    ['bad.example', true],
    ['xn--bcher-kva.example', false],
    ['XN--BCHER-KVA.example', false],
    ['spam1.example', false],
    ['spam12.example', true],
    ['1.2.3.4', true],
    ['1.2.3.5:8448', false],
    ['[2001:db8::1]', false],
    ['[2001:db8::1]:8448', false],
    ['[2001:DB8::1]', false],
    ['[2001:db8::2]:8448', true],
  ])('that denies some lets %s in: %j', (server, expected) => {
    const deny = ['Evil.Example', '*.bad.example', 'xn--bcher-kva.example', 'spam?.example', '1.2.3.5', '[2001:db8::1]']
    expect(allows({ allow: ['*'], deny }, server)).toBe(expected)
  })

  it('lets only those in whom it allows, and denial wins', () => {
    const content = { allow: ['*.example.org', 'one.example'], deny: ['bad.example.org'] }
    expect(allows(content, 'good.example.org')).toBe(true)
    expect(allows(content, 'one.example')).toBe(true)
    expect(allows(content, 'bad.example.org')).toBe(false)
    expect(allows(content, 'two.example')).toBe(false)
  })

  it.each(['1.2.3.4', '1.2.3.4:8448', '[::1]', '[::1]:8448', '::1'])('refuses the literal %s when told to', server => {
    expect(allows({ allow: ['*'], allow_ip_literals: false }, server)).toBe(false)
    expect(allows({ allow: ['*'], allow_ip_literals: true }, server)).toBe(true)
    expect(allows({ allow: ['*'] }, server)).toBe(true)
  })

  it('does not take a name that merely begins like an address for one', () => {
    expect(allows({ allow: ['*'], allow_ip_literals: false }, '1.2.3.4.example')).toBe(true)
    expect(allows({ allow: ['*'], allow_ip_literals: false }, '1.2.3')).toBe(true)
  })

  it('that is malformed is read as the spec says', () => {
    expect(allows({}, 'example.org')).toBe(false)
    expect(allows({ allow: '*' }, 'example.org')).toBe(false)
    expect(allows({ allow: ['*'], deny: 'example.org' }, 'example.org')).toBe(true)
    expect(allows({ allow: [1, null, {}, '*'], deny: [2, 'evil.example'] }, 'example.org')).toBe(true)
    expect(allows({ allow: [1, null, {}, '*'], deny: [2, 'evil.example'] }, 'evil.example')).toBe(false)
    expect(allows({ allow: ['*'], allow_ip_literals: 'false' }, '1.2.3.4')).toBe(true)
  })

  it('that names the port of a server has no effect on it', () => {
    expect(allows({ allow: ['*'], deny: ['evil.example:8448'] }, 'evil.example:8448')).toBe(true)
  })

  it.each([
    ['names', (n: number) => `s${n}.example`],
    ['suffixes', (n: number) => `*.s${n}.example`],
    ['globs', (n: number) => `s${n}*.example`],
    ['globs with question marks', (n: number) => `?${n}*`],
    ['globs made to be slow', (n: number) => `*a*a*a*${n}`],
  ])('of 20,000 %s answers a thousand times in less than a second', (_what, entry) => {
    const content = { allow: ['*'], deny: Array.from({ length: 20_000 }, (_, n) => entry(n)) }
    expect(allows(content, `${'a'.repeat(200)}.org`)).toBe(true) // compiled here, once
    const start = performance.now()
    for (let check = 0; check < 1_000; check++) allows(content, `${'a'.repeat(200)}${check % 5}.org`)
    expect(performance.now() - start).toBeLessThan(1_000)
  })
})
