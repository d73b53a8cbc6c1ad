import { describe, expect, it } from '@jest/globals'
import { drawPseudonym } from '../../src/accounts/pseudonyms.ts'
import { newRefreshToken, newToken, readRefreshToken, readToken, tokenHash } from '../../src/accounts/tokens.ts'
import { isStrictLocalpart } from '../../src/protocol/identifiers.ts'
import { systemRandom } from '../../src/random.ts'

describe('tokens', () => {
  it('are known by their form before any database is asked', () => {
    const { token, hash } = newToken(systemRandom, 'access')
    expect(readToken(token, 'access')).toEqual(hash)
    expect(tokenHash(token)).toEqual(hash)
  })

  it.each([
    ['an empty text', ''],
    ['a space', ' '],
    ['the word null', 'null'],
    ['a megabyte', 'a'.repeat(1_048_576)],
    ['another kind of token', newToken(systemRandom, 'login').token],
    ['a token with a letter changed', newToken(systemRandom, 'access').token.replace(/^lta_./, 'lta_-')],
    ['a token with something behind it', `${newToken(systemRandom, 'access').token}x`],
  ])('are not read from %s', (_what, text) => {
    expect(readToken(text, 'access')).toBeNull()
  })

  it('for refreshing keep the name of their family', () => {
    const first = newRefreshToken(systemRandom)
    const second = newRefreshToken(systemRandom, first.family)
    expect(second.token).not.toBe(first.token)
    expect(readRefreshToken(second.token)).toMatchObject({ familyHash: first.familyHash, hash: second.hash })
    expect(readRefreshToken(first.token.slice(0, -1))).toBeNull()
    expect(readRefreshToken(newToken(systemRandom, 'access').token)).toBeNull()
  })
})

describe('a pseudonym', () => {
  it('is a localpart, and rarely the same twice', () => {
    const drawn = Array.from({ length: 200 }, () => drawPseudonym(systemRandom))
    expect(drawn.every(isStrictLocalpart)).toBe(true)
    expect(new Set(drawn).size).toBeGreaterThan(195)
  })
})
