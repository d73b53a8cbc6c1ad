import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { hash } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { dictionary } from '../../src/privacy/dictionary.ts'
import { pack, unpack } from '../../src/privacy/packing.ts'
import { phrases } from '../../src/privacy/phrases.ts'

/** Text as UTF-8 has it: half of a pair that is alone becomes U+FFFD, as wherever text is stored. */
const stored = (text: string) => Buffer.from(text).toString()

const base64 = fc.oneof(
  fc.uint8Array({ maxLength: 400 }).map(bytes => Buffer.from(bytes).toString('base64')),
  fc.uint8Array({ maxLength: 400 }).map(bytes => Buffer.from(bytes).toString('base64url')),
  fc.string({ unit: fc.constantFrom('A', 'z', '9', '+', '/', '-', '_', '='), maxLength: 1_500 }),
)
const piece = fc.oneof(
  fc.constantFrom(...phrases),
  // Phrases that break off.
  fc.constantFrom(...phrases).chain(phrase => fc.nat(phrase.length).map(end => phrase.slice(0, end))),
  base64,
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.json(),
  // Characters whose later bytes are those that stand for phrases.
  fc.string({
    unit: fc.constantFrom('\u0080', '¿', 'Á', 'õ', '\u{10ffff}', '\u{40000}', '\0', '\x07', '\ud800'),
    maxLength: 20,
  }),
)

const hashed = (text: string) => hash('sha256', text, 'base64url')

const event = {
  auth_events: [`$${hashed('create')}`, `$${hashed('member')}`, `$${hashed('power')}`],
  content: { body: 'See you at nine', msgtype: 'm.text' },
  depth: 12,
  hashes: { sha256: hash('sha256', 'content', 'base64').slice(0, 43) },
  origin_server_ts: 1_795_500_000_123,
  prev_events: [`$${hashed('before')}`],
  room_id: `!${hashed('room')}`,
  sender: '@alice:example.org',
  signatures: { 'example.org': { 'ed25519:a_1': hash('sha512', 'event', 'base64').slice(0, 86) } },
  type: 'm.room.message',
}

const packedOnce =
  'B4D2IPqIR7DDMYMnP1lFUIsxwyCKnk7OWMpHIzoFYo2NujeZgfUg4xq2Q8RPeg7IJLWdEZTWDawzQgDYReYdLSidqg8IfqSB9iAH' +
  '1xXttpb7X2KPcpjl1yF+1NK9/FNHocVf7jCDImfyHYJTZWUgeW91IGF0IG5pbmWEhzEyiPUg7XACtDnprIRfIjV9giusFERzD722' +
  'AW0+yUMil7nsn3OJ9Qnv3nnTTTTTXbeK9iBtt9gD508f+n2PWtwL+Vs+Fb9Mg3P/+t9UYifMbGdCy4v2IB8cWy+td4Q0Ak8VN5hj' +
  'RpJ5F/R1Wm59P9kfImU7fDEyjGFsaWNlOmV4YW1wbGUub3JnjWV4YW1wbGUub3JnjmFfMbn1QGx6V4OH4uabu2id8m+0MSnlpwK1' +
  'fZvzNt2hTFRUK7TBZmZgfsz9P6HjliGow0JdH5YhjfrelUrsBLCa9uZXU4aQ'
const everyPhrase = 'B4CBgoOEhYaHiImKi4yNjo+QkZKTlJWWl5iZmpucnZ6foKGio6SlpqeoqaqrrK2ur7CxsrO0tba3uLm6u7y9vr/Awff4'

describe('packing', () => {
  it('gives back every text', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), pieces => {
        const text = pieces.join('')
        expect(unpack(pack(text))).toBe(stored(text))
      }),
      { numRuns: 2_000 },
    )
  })

  it('makes no text longer by more than a byte', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), pieces => {
        const text = pieces.join('')
        expect(pack(text).length).toBeLessThanOrEqual(Buffer.byteLength(text) + 1)
      }),
    )
  })

  it('makes an event as small as DEFLATE does, or smaller', () => {
    const text = JSON.stringify(event)
    const deflated = deflateRawSync(text, { level: 9, windowBits: 12, memLevel: 4, dictionary })
    expect(pack(text).length).toBeLessThanOrEqual(deflated.length)
  })

  it('leaves long text that repeats itself to DEFLATE', () => {
    const text = 'What I tell you three times is true. '.repeat(1_000)
    const packed = pack(text)
    expect(packed.length).toBeLessThan(1_000)
    expect(unpack(packed)).toBe(text)
  })

  it('unpacks what DEFLATE packed before there were phrases', () => {
    const text = JSON.stringify(event)
    expect(unpack(deflateRawSync(text, { level: 9, windowBits: 12, memLevel: 4, dictionary }))).toBe(text)
  })

  // A row that was sealed yesterday must open tomorrow: whoever changes the phrases or their order finds this.
  it('is the same for all time', () => {
    expect(unpack(Buffer.from(packedOnce, 'base64'))).toBe(JSON.stringify(event))
    expect(unpack(Buffer.from(everyPhrase, 'base64'))).toBe(phrases.join(''))
  })

  it('ends for bytes that it never returned, whatever it makes of them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
        expect(typeof unpack(Buffer.from([0x07, ...bytes]))).toBe('string')
      }),
    )
  })
})
