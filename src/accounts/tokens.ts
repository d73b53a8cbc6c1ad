import { createHash } from 'node:crypto'
import { type Random, isWellFormedToken } from '../random.ts'

/** What access tokens, refresh tokens, login tokens, join links, sign-ins to pages, receipts and probes begin with, so that scanners find leaked ones. */
const prefixes = {
  access: 'lta',
  refresh: 'ltr',
  login: 'ltl',
  join: 'ltj',
  page: 'ltp',
  erasure: 'lte',
  probe: 'ltd',
} as const

export type TokenKind = keyof typeof prefixes

/** A new secret and what is kept of it. */
export interface NewToken {
  readonly token: string
  /** SHA-256 of the token: all that the server keeps. */
  readonly hash: Buffer
}

/** Prefix, `_`, 43 characters, `_`, 6 characters of checksum. */
const tokenLength = 3 + 1 + 43 + 1 + 6
const familyBytes = 16
const familyLength = 22

/** The SHA-256 of a token, in 32 bytes. Tokens are looked up by it, which takes the same time for all of them. */
export function tokenHash(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

/** A new secret of 256 bits. */
export function newToken(random: Random, kind: Exclude<TokenKind, 'refresh'>): NewToken {
  const token = random.token(prefixes[kind])
  return { token, hash: tokenHash(token) }
}

/** The hash of a token, or `null` for a text that cannot be one: no database need be asked about it. */
export function readToken(text: string, kind: Exclude<TokenKind, 'refresh'>): Buffer | null {
  return text.length === tokenLength && isWellFormedToken(text, prefixes[kind]) ? tokenHash(text) : null
}

/** What a refresh token says: which session's it is, and that it is the right one. */
export interface RefreshTokenHashes {
  readonly familyHash: Buffer
  readonly hash: Buffer
}

/** A new refresh token: a secret, and after a dot the name of its family. Without `family` it begins one. */
export function newRefreshToken(random: Random, family?: string): NewToken & RefreshTokenHashes & { family: string } {
  const name = family ?? Buffer.from(random.bytes(familyBytes)).toString('base64url')
  const token = `${random.token(prefixes.refresh)}.${name}`
  return { token, hash: tokenHash(token), family: name, familyHash: tokenHash(name) }
}

/** The parts of a refresh token, or `null` for a text that cannot be one. */
export function readRefreshToken(text: string): (RefreshTokenHashes & { family: string }) | null {
  if (text.length !== tokenLength + 1 + familyLength || text[tokenLength] !== '.') return null
  if (!isWellFormedToken(text.slice(0, tokenLength), prefixes.refresh)) return null
  const family = text.slice(tokenLength + 1)
  return { family, familyHash: tokenHash(family), hash: tokenHash(text) }
}
