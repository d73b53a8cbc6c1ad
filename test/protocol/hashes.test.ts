import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import {
  contentHash,
  contentHashMatches,
  decodeBase64,
  encodeBase64,
  encodeBase64Url,
  eventIdOf,
  referenceHash,
  roomIdOfCreate,
} from '../../src/protocol/hashes.ts'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { parseJson } from '../../src/protocol/json-reader.ts'
import { redactPdu } from '../../src/protocol/redaction.ts'
import { everyVersion, versionOf } from './sample-events.ts'
import { vectorText } from './vectors.ts'

const parsed = parseJson(vectorText('event-hashes'), { numbers: 'strict' })
// The file is ours and has this shape.
const vectors = (parsed.ok ? parsed.value : null) as unknown as {
  readonly event: JsonObject
  readonly contentHash: string
  readonly eventIds: JsonObject
  readonly create: JsonObject
  readonly createRoomId: string
}

describe('unpadded base64', () => {
  it.each([
    ['', ''],
    ['f', 'Zg'],
    ['fo', 'Zm8'],
    ['foo', 'Zm9v'],
    ['foob', 'Zm9vYg'],
    ['fooba', 'Zm9vYmE'],
    ['foobar', 'Zm9vYmFy'],
  ])('encodes %j as the spec does', (text, base64) => {
    expect(encodeBase64(Buffer.from(text))).toBe(base64)
    expect(decodeBase64(base64)).toEqual(new Uint8Array(Buffer.from(text)))
  })

  it('decodes both alphabets, with and without padding', () => {
    for (const text of ['+/8', '-_8', '+/8=', '-_8=']) expect(decodeBase64(text)).toEqual(Uint8Array.from([0xfb, 0xff]))
    expect(decodeBase64('Zg==')).toEqual(Uint8Array.from([0x66]))
  })

  it.each(['A', 'AAAAA', 'Zg=', 'Zm8==', 'Zm9v=', '=', 'Zg===', 'Z g', 'Zm9v\n', 'Zm9v.', 'Zm=v', 'é', '😀'])(
    'refuses %j',
    text => expect(decodeBase64(text)).toBeNull(),
  )

  it('gives back every sequence of bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), bytes => {
        expect(decodeBase64(encodeBase64(bytes))).toEqual(bytes)
        expect(decodeBase64(encodeBase64Url(bytes))).toEqual(bytes)
        expect(encodeBase64(bytes)).not.toContain('=')
        expect(encodeBase64Url(bytes)).toMatch(/^[A-Za-z0-9_-]*$/)
      }),
      { numRuns: 200 },
    )
  })

  it('encodes a view of a larger buffer, not the buffer', () => {
    expect(encodeBase64(new Uint8Array(Buffer.from('xxfooyy')).subarray(2, 5))).toBe('Zm9v')
  })
})

describe('the content hash', () => {
  it('is the one that the Python of the spec computes', () => {
    expect(contentHash(vectors.event)).toBe(vectors.contentHash)
    expect(contentHashMatches(vectors.event)).toBe(true)
  })

  it('does not cover unsigned, signatures and hashes', () => {
    const changed = { ...vectors.event, unsigned: { age: 99 }, signatures: {}, hashes: { sha256: 'other' } }
    expect(contentHash(changed)).toBe(vectors.contentHash)
  })

  it('covers everything else', () => {
    for (const field of Object.keys(vectors.event)) {
      if (['unsigned', 'signatures', 'hashes'].includes(field)) continue
      expect(contentHashMatches({ ...vectors.event, [field]: 'changed' })).toBe(false)
      const { [field]: _removed, ...without } = vectors.event
      expect(contentHashMatches(without)).toBe(false)
    }
    expect(contentHashMatches({ ...vectors.event, extra: 1 })).toBe(false)
  })

  it('does not match where hashes is missing or malformed', () => {
    for (const hashes of [
      null,
      [],
      'x',
      {},
      { sha256: 1 },
      { sha256: '***' },
      { sha256: '' },
      { sha512: vectors.contentHash },
    ]) {
      expect(contentHashMatches({ ...vectors.event, hashes })).toBe(false)
    }
  })

  it('matches in padded base64 too, for the bytes are what counts', () => {
    expect(contentHashMatches({ ...vectors.event, hashes: { sha256: `${vectors.contentHash}=` } })).toBe(true)
  })
})

describe('event IDs', () => {
  it.each(everyVersion.filter(([, version]) => version.eventIdFormat !== 'chosen'))(
    'are the reference hash in room version %s',
    (id, version) => {
      expect(eventIdOf(vectors.event, version)).toBe(vectors.eventIds[id])
      expect(eventIdOf(redactPdu(vectors.event, version), version)).toBe(vectors.eventIds[id])
      expect(`$${referenceHash(vectors.event, version)}`).toBe(vectors.eventIds[id])
    },
  )

  it('differ by version only as the alphabet and the redaction rules do', () => {
    const ids = vectors.eventIds
    const alphabet: Record<string, string> = { '+': '-', '/': '_' }
    expect(String(ids['3']).replaceAll(/[+/]/g, character => alphabet[character] ?? '')).toBe(ids['4'])
    expect(ids['4']).toBe(ids['10'])
    expect(ids['11']).not.toBe(ids['10'])
    expect(ids['11']).toBe(ids['12'])
  })

  it('are read from the event in versions 1 and 2', () => {
    for (const version of [versionOf('1'), versionOf('2')]) {
      expect(eventIdOf({ ...vectors.event, event_id: '$a:example.org' }, version)).toBe('$a:example.org')
      for (const event_id of ['$a', 'a:example.org', 1, null, '$a:', `$${'a'.repeat(255)}:x`]) {
        expect(eventIdOf({ ...vectors.event, event_id }, version)).toBeNull()
      }
      expect(eventIdOf(vectors.event, version)).toBeNull()
    }
  })

  it('do not depend on signatures and unsigned', () => {
    const { signatures: _signatures, unsigned: _unsigned, ...rest } = vectors.event
    for (const [id, version] of everyVersion.slice(2)) expect(eventIdOf(rest, version)).toBe(vectors.eventIds[id])
  })
})

describe('the ID of a created room', () => {
  it('is the hash of the create event in version 12', () => {
    expect(roomIdOfCreate(vectors.create, versionOf('12'))).toBe(vectors.createRoomId)
    expect(eventIdOf(vectors.create, versionOf('12'))).toBe(`$${vectors.createRoomId.slice(1)}`)
  })

  it('is what the create event says in all others', () => {
    for (const [, version] of everyVersion.slice(0, 11)) {
      expect(roomIdOfCreate({ ...vectors.create, room_id: '!a:example.org' }, version)).toBe('!a:example.org')
      expect(roomIdOfCreate(vectors.create, version)).toBeNull()
    }
  })
})

it('numbers that only old room versions allow are hashed as they were written', () => {
  const text = '{"content":{"level":1.0,"big":9007199254740993},"depth":9223372036854775807,"type":"m.x"}'
  const value = parseJson(text, { numbers: 'preserved' })
  const plain = parseJson(text.replace('1.0', '1'), { numbers: 'preserved' })
  if (!value.ok || !plain.ok || !isJsonObject(value.value) || !isJsonObject(plain.value)) throw new Error('unreadable')
  // echo -n '{"content":{"big":9007199254740993,"level":1.0},"depth":9223372036854775807,"type":"m.x"}' | sha256sum
  expect(Buffer.from(contentHash(value.value), 'base64').toString('hex')).toBe(
    '7b8da767d183b5f195d96dffd288c1bf135502f64b3be0cd5d53677c83c0bbbd',
  )
  expect(contentHash(plain.value)).not.toBe(contentHash(value.value))
})
