import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { canonicalJson } from '../../src/protocol/canonical-json.ts'
import { contentHash, decodeBase64, encodeBase64 } from '../../src/protocol/hashes.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../../src/protocol/json.ts'
import { parseJson } from '../../src/protocol/json-reader.ts'
import { redactPdu } from '../../src/protocol/redaction.ts'
import {
  signEvent,
  signingKeyFromSeed,
  signingKeyIds,
  signJson,
  verifyEd25519,
  verifyEvent,
  verifyJson,
} from '../../src/protocol/signatures.ts'
import { built, everyVersion, home, key, versionOf } from './sample-events.ts'
import { vectorText } from './vectors.ts'

interface Vectors {
  readonly seed: string
  readonly serverName: string
  readonly keyId: string
  readonly json: readonly { readonly object: JsonObject; readonly signature: string }[]
  readonly events: readonly { readonly event: JsonObject; readonly hash: string; readonly signature: string }[]
}
// The file is ours and has this shape.
const vectors = JSON.parse(vectorText('signing')) as Vectors
const { serverName, keyId } = vectors
const specKey = signingKeyFromSeed(decodeBase64(vectors.seed) ?? new Uint8Array(), keyId)

function signatureIn(object: JsonObject): JsonValue | undefined {
  const signatures = object['signatures']
  const ofServer = isJsonObject(signatures) ? signatures[serverName] : undefined
  return isJsonObject(ofServer) ? ofServer[keyId] : undefined
}

describe('the test vectors of the spec', () => {
  it.each(vectors.json)('sign $object', ({ object, signature }) => {
    const signed = signJson(object, serverName, specKey)
    expect(signed).toEqual({ ...object, signatures: { [serverName]: { [keyId]: signature } } })
    expect(verifyJson(signed, serverName, keyId, specKey.publicKey)).toBe(true)
  })

  it.each(vectors.events)('hash and sign the event of $event.sender', ({ event, hash, signature }) => {
    const hashed: JsonObject = { ...event, hashes: { sha256: contentHash(event) } }
    expect(hashed['hashes']).toEqual({ sha256: hash })
    const signed = signEvent(hashed, serverName, specKey, versionOf('1'))
    expect(signed).toEqual({ ...hashed, signatures: { [serverName]: { [keyId]: signature } } })
    expect(verifyEvent(signed, serverName, keyId, specKey.publicKey, versionOf('1'))).toBe(true)
  })
})

describe('signed JSON', () => {
  it('keeps other signatures and unsigned, and does not cover them', () => {
    const other = signingKeyFromSeed(new Uint8Array(32).fill(1), 'ed25519:other')
    const object: JsonObject = { a: 1, unsigned: { age: 1 }, signatures: { 'elsewhere.org': { 'ed25519:x': 'y' } } }
    const signed = signJson(signJson(object, serverName, specKey), serverName, other)
    expect(signed['unsigned']).toEqual({ age: 1 })
    expect(signingKeyIds(signed, serverName)).toEqual([keyId, 'ed25519:other'])
    expect(signingKeyIds(signed, 'elsewhere.org')).toEqual(['ed25519:x'])
    expect(verifyJson(signed, serverName, keyId, specKey.publicKey)).toBe(true)
    expect(verifyJson({ ...signed, unsigned: 'changed' }, serverName, 'ed25519:other', other.publicKey)).toBe(true)
    expect(object['signatures']).toEqual({ 'elsewhere.org': { 'ed25519:x': 'y' } })
  })

  it('does not depend on the order of keys', () => {
    const signed = signJson({ b: 1, a: { d: 1, c: 2 } }, serverName, specKey)
    const reordered = { signatures: signed['signatures'] ?? null, a: { c: 2, d: 1 }, b: 1 }
    expect(verifyJson(reordered, serverName, keyId, specKey.publicKey)).toBe(true)
  })

  it('is false, never an exception, for whatever is malformed', () => {
    const good = signJson({ a: 1 }, serverName, specKey)
    const signature = signatureIn(good) ?? null
    const verify = (object: JsonObject, publicKey = specKey.publicKey): boolean =>
      verifyJson(object, serverName, keyId, publicKey)
    expect(verify(good)).toBe(true)
    for (const signatures of [
      null,
      [],
      'x',
      {},
      { [serverName]: null },
      { [serverName]: [signature] },
      { other: { [keyId]: signature } },
    ]) {
      expect(verify({ a: 1, signatures })).toBe(false)
    }
    for (const bad of [1, null, '', 'x', '*'.repeat(86), 'A'.repeat(85), 'A'.repeat(88), `${String(signature)}AAAA`]) {
      expect(verify({ a: 1, signatures: { [serverName]: { [keyId]: bad } } })).toBe(false)
    }
    for (const publicKey of ['', 'x', '*', 'A'.repeat(42), 'A'.repeat(44), 'A'.repeat(43), '/'.repeat(43)]) {
      expect(verify(good, publicKey)).toBe(false)
    }
    expect(verify({ ...good, b: 'lone \ud800' })).toBe(false)
    expect(verify({ ...good, b: Infinity })).toBe(false)
  })

  it('finds no signature on a prototype', () => {
    const signed = signJson({ a: 1 }, serverName, specKey)
    const inherited: JsonObject = { a: 1, signatures: Object.create(signed['signatures'] as object) as JsonObject }
    expect(verifyJson(inherited, serverName, keyId, specKey.publicKey)).toBe(false)
    const ofServer = Object.create({ [keyId]: signatureIn(signed) }) as JsonObject
    expect(verifyJson({ a: 1, signatures: { [serverName]: ofServer } }, serverName, keyId, specKey.publicKey)).toBe(
      false,
    )
    expect(verifyJson({ a: 1, signatures: {} }, '__proto__', 'toString', specKey.publicKey)).toBe(false)
    expect(signingKeyIds({ signatures: {} }, 'constructor')).toEqual([])
  })

  it('lists only Ed25519 keys', () => {
    expect(
      signingKeyIds({ signatures: { x: { 'ed25519:1': 's', 'curve25519:1': 's', 'ed25519:2': 3 } } }, 'x'),
    ).toEqual(['ed25519:1'])
    expect(signingKeyIds({ signatures: [] }, 'x')).toEqual([])
    expect(signingKeyIds({}, 'x')).toEqual([])
  })

  it('covers numbers as they were written, so that a request full of old events verifies', () => {
    const body = parseJson('{"pdus":[{"content":{"ban":50.0},"depth":9223372036854775807}]}', { numbers: 'preserved' })
    if (!body.ok || !isJsonObject(body.value)) throw new Error('unreadable')
    const signed = signJson({ content: body.value }, serverName, specKey)
    expect(
      verifyEd25519(
        specKey.publicKey,
        '{"content":{"pdus":[{"content":{"ban":50.0},"depth":9223372036854775807}]}}',
        String(signatureIn(signed)),
      ),
    ).toBe(true)
    expect(verifyJson(signed, serverName, keyId, specKey.publicKey)).toBe(true)
  })

  it('B-1: a changed bit in the object, the signature or the key is always noticed', () => {
    const object = { one: 1, two: 'Two', deep: { list: [1, 2, { x: null }] } }
    const text = canonicalJson(object)
    const signature = specKey.sign(text)
    const flip = (bytes: Uint8Array, bit: number): Uint8Array => {
      const flipped = Uint8Array.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      return flipped
    }
    const message = new Uint8Array(Buffer.from(text))
    const signatureBytes = decodeBase64(signature) ?? new Uint8Array()
    const keyBytes = decodeBase64(specKey.publicKey) ?? new Uint8Array()
    expect(verifyEd25519(specKey.publicKey, message, signature)).toBe(true)
    fc.assert(
      fc.property(fc.nat(message.length * 8 - 1), fc.nat(64 * 8 - 1), fc.nat(32 * 8 - 1), (first, second, third) => {
        expect(verifyEd25519(specKey.publicKey, flip(message, first), signature)).toBe(false)
        expect(verifyEd25519(specKey.publicKey, message, encodeBase64(flip(signatureBytes, second)))).toBe(false)
        expect(verifyEd25519(encodeBase64(flip(keyBytes, third)), message, signature)).toBe(false)
      }),
      { numRuns: Number(process.env['PROPERTY_RUNS'] ?? 200) },
    )
  })
})

describe('signed events', () => {
  it.each(everyVersion)('of room version %s verify whole and redacted', (_id, version) => {
    const { pdu } = built(version, {
      type: 'm.room.member',
      stateKey: '@alice:example.org',
      content: { membership: 'join', displayname: 'A' },
    })
    const verifies = (event: JsonObject): boolean => verifyEvent(event, home, key.keyId, key.publicKey, version)
    expect(verifies(pdu)).toBe(true)
    expect(verifies(redactPdu(pdu, version))).toBe(true)
    // What a redaction removes is not covered by the signature, but by the hash.
    expect(verifies({ ...pdu, content: { membership: 'join', displayname: 'B' } })).toBe(true)
    expect(verifies({ ...pdu, content: { membership: 'leave', displayname: 'A' } })).toBe(false)
    for (const field of [
      'sender',
      'type',
      'state_key',
      'depth',
      'prev_events',
      'auth_events',
      'origin_server_ts',
      'hashes',
    ]) {
      expect(verifies({ ...pdu, [field]: 'changed' })).toBe(false)
    }
    expect(verifyEvent(pdu, 'elsewhere.org', key.keyId, key.publicKey, version)).toBe(false)
    expect(verifyEvent(pdu, home, 'ed25519:other', key.publicKey, version)).toBe(false)
    expect(verifyEvent(pdu, home, key.keyId, specKey.publicKey, version)).toBe(false)
  })
})

describe('signing keys', () => {
  it('refuse a seed or a name of the wrong form', () => {
    expect(() => signingKeyFromSeed(new Uint8Array(31), 'ed25519:a')).toThrow(RangeError)
    for (const bad of ['', 'a', 'ed25519:', 'ed25519:a b', 'curve25519:a', 'ed25519:a:b']) {
      expect(() => signingKeyFromSeed(new Uint8Array(32), bad)).toThrow(RangeError)
    }
  })

  it('sign text as its UTF-8', () => {
    expect(key.sign('é😀')).toBe(key.sign(Buffer.from('é😀', 'utf8')))
  })

  it('are all remembered and forgotten without harm', () => {
    for (let at = 0; at < 10_050; at++) {
      const bytes = new Uint8Array(32)
      new DataView(bytes.buffer).setUint32(0, at)
      verifyEd25519(encodeBase64(bytes), 'x', 'A'.repeat(86))
    }
    expect(verifyEd25519(specKey.publicKey, 'x', specKey.sign('x'))).toBe(true)
  })
})
