import { randomBytes, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** Where the server gets randomness from. Nothing else may make random values, so that tests can repeat them. */
export interface Random {
  /** `length` unpredictable bytes. */
  bytes(length: number): Uint8Array
  /** An unpredictable integer, `0 <= n < limit`; `limit` is at most 2^48 - 1. */
  integer(limit: number): number
  /** A secret of 256 bits in URL-safe characters. With a prefix: `<prefix>_<43 characters>_<6 checksum characters>`,
   *  so that leaked tokens can be found by scanners and mistyped ones be refused without asking the database. */
  token(prefix?: string): string
  /** `length` characters of A-Z, about 4.7 bits each: device IDs, room IDs' local parts, codes that people copy. */
  letters(length: number): string
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
const TOKEN_BYTES = 32

/** Six URL-safe characters that change when the text does. Not a secret: it catches typing errors, not forgery. */
function checksum(text: string): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(text))
  return bytes.toString('base64url')
}

/** Builds a `Random` from its two sources; `integerBelow` must be uniform. */
export function randomFrom(bytes: (length: number) => Uint8Array, integerBelow: (limit: number) => number): Random {
  return {
    bytes,
    integer: integerBelow,
    token(prefix) {
      const secret = Buffer.from(bytes(TOKEN_BYTES)).toString('base64url')
      if (prefix === undefined) return secret
      const body = `${prefix}_${secret}`
      return `${body}_${checksum(body)}`
    },
    letters(length) {
      let text = ''
      for (let index = 0; index < length; index += 1) text += LETTERS.charAt(integerBelow(LETTERS.length))
      return text
    },
  }
}

/** The operating system's randomness. */
export const systemRandom: Random = randomFrom(
  length => randomBytes(length),
  limit => randomInt(limit),
)

/** True when `token` has the form that `Random.token(prefix)` makes and its checksum holds. */
export function isWellFormedToken(token: string, prefix: string): boolean {
  const body = token.slice(0, -7)
  return body.startsWith(`${prefix}_`) && token === `${body}_${checksum(body)}`
}
