import { describe, expect, it } from '@jest/globals'
import { buildEvent } from '../../src/protocol/event-builder.ts'
import { readEvent } from '../../src/protocol/event-format.ts'
import { contentHashMatches, eventIdOf } from '../../src/protocol/hashes.ts'
import { type JsonObject, type JsonValue } from '../../src/protocol/json.ts'
import { parseJson } from '../../src/protocol/json-reader.ts'
import { canonicalJson } from '../../src/protocol/canonical-json.ts'
import { verifyEvent } from '../../src/protocol/signatures.ts'
import {
  built,
  builtCreate,
  draftFor,
  type DraftChanges,
  eventId,
  everyVersion,
  home,
  key,
  referenceFor,
  roomIdFor,
  serverName,
  userId,
  versionOf,
} from './sample-events.ts'

describe.each(everyVersion)('an event built for room version %s', (id, version) => {
  const problemOf = (changes: DraftChanges): string => {
    const result = buildEvent(draftFor(version, changes), home, key)
    return result.ok ? 'none' : `${result.tooLarge === true ? 'too large: ' : ''}${result.problem}`
  }

  it('is hashed, signed and accepted by everybody else', () => {
    const event = built(version)
    expect(contentHashMatches(event.pdu)).toBe(true)
    expect(verifyEvent(event.pdu, home, key.keyId, key.publicKey, version)).toBe(true)
    expect(eventIdOf(event.pdu, version)).toBe(event.eventId)
    const received = parseJson(canonicalJson(event.pdu), { numbers: 'preserved' })
    const read = readEvent(received.ok ? received.value : null, version)
    expect(read.ok && JSON.stringify(read.event)).toBe(
      JSON.stringify({ ...event, pdu: read.ok ? read.event.pdu : null }),
    )
    expect(event.stateKey).toBeNull()
  })

  it('holds exactly the fields of the version', () => {
    const fields = [
      'auth_events',
      'content',
      'depth',
      'hashes',
      'origin_server_ts',
      'prev_events',
      'room_id',
      'sender',
      'signatures',
      'type',
    ]
    const expected = Number(id) <= 2 ? [...fields, 'event_id'] : fields
    expect(Object.keys(built(version).pdu).toSorted()).toEqual(expected.toSorted())
    expect(Object.keys(built(version, { stateKey: '' }).pdu).toSorted()).toEqual([...expected, 'state_key'].toSorted())
  })

  it('refers to other events in the form of the version', () => {
    const { pdu } = built(version)
    expect(pdu['prev_events']).toEqual(
      Number(id) <= 2 ? [['$p:example.org', { sha256: 'p'.repeat(43) }]] : [referenceFor(version, 'p').eventId],
    )
  })

  it('says what it redacts where the version looks for it', () => {
    const redacts = eventId('$target:example.org')
    const { pdu, redacts: read } = built(version, { type: 'm.room.redaction', content: { reason: 'spam' }, redacts })
    expect(read).toBe(redacts)
    expect(pdu['redacts']).toBe(Number(id) <= 10 ? redacts : undefined)
    expect(pdu['content']).toEqual(Number(id) <= 10 ? { reason: 'spam' } : { reason: 'spam', redacts })
  })

  it('is never that of a user of another server', () => {
    expect(problemOf({ sender: userId('@alice:elsewhere.org') })).toMatch(/sender/)
    expect(problemOf({ sender: userId('@alice:example.org:8448') })).toMatch(/sender/)
    const asOther = buildEvent(draftFor(version), serverName('elsewhere.org'), key)
    expect(asOther.ok).toBe(false)
  })

  it('holds content byte for byte, odd keys included', () => {
    const content = parseJson('{"__proto__":{"x":1},"constructor":"\\u0000","10":1,"9":2,"😀":null}')
    const value = (content.ok ? content.value : null) as JsonObject
    const event = built(version, { content: value })
    expect(canonicalJson(event.content)).toBe(canonicalJson(value))
    expect(contentHashMatches(event.pdu)).toBe(true)
    const redaction = built(version, { type: 'm.room.redaction', content: value, redacts: eventId('$a:b') })
    expect(canonicalJson(redaction.content)).toContain('"__proto__":{"x":1}')
  })

  it('is refused when its content is not canonical JSON in a version that demands it', () => {
    for (const bad of [1.5, 2 ** 53]) expect(problemOf({ content: { bad } }) === 'none').toBe(Number(id) <= 5)
    for (const bad of ['\ud800', NaN, Infinity]) expect(problemOf({ content: { bad } })).toMatch(/canonical/)
  })

  it('is refused when it is too large, too deep or too wide', () => {
    expect(problemOf({ content: { body: 'a'.repeat(65_536) } })).toMatch(/^too large/)
    expect(problemOf({ type: 'a'.repeat(256) })).toMatch(/^too large/)
    expect(problemOf({ stateKey: 'é'.repeat(128) })).toMatch(/^too large/)
    let nested: JsonValue = 1
    for (let level = 0; level < 100; level++) nested = [nested]
    expect(problemOf({ content: { nested } })).toMatch(/deep/)
    expect(problemOf({ prevEvents: Array.from({ length: 21 }, () => referenceFor(version, 'p')) })).toMatch(
      /prev_events/,
    )
    expect(problemOf({ authEvents: Array.from({ length: 11 }, () => referenceFor(version, 'a')) })).toMatch(
      /auth_events/,
    )
    let abyss: JsonValue = 1
    for (let level = 0; level < 10_000; level++) abyss = [abyss]
    expect(problemOf({ content: { abyss } })).not.toBe('none')
  })

  it('D-1: stays at the limit of depth', () => {
    expect(built(version, { depth: Number.MAX_SAFE_INTEGER }).depth).toBe(Number.MAX_SAFE_INTEGER)
    expect(built(version, { depth: Number.MAX_SAFE_INTEGER + 1 }).depth).toBe(Number.MAX_SAFE_INTEGER)
    expect(problemOf({ depth: -1 })).toMatch(/depth/)
  })

  it('names no room exactly when it makes a room of version 12', () => {
    expect(builtCreate(version).type).toBe('m.room.create')
    expect(problemOf({ roomId: null })).toMatch(/room_id/)
    const create: DraftChanges = { type: 'm.room.create', stateKey: '', prevEvents: [], authEvents: [] }
    expect(problemOf({ ...create, roomId: roomIdFor(version) }) === 'none').toBe(Number(id) <= 11)
    expect(problemOf({ ...create, roomId: null }) === 'none').toBe(Number(id) === 12)
  })
})

describe('an event built for room versions 1 and 2', () => {
  const version = versionOf('1')
  const build = (changes: DraftChanges): boolean => buildEvent(draftFor(version, changes), home, key).ok

  it('needs an ID and the reference hashes of its neighbours', () => {
    expect(build({})).toBe(true)
    expect(build({ eventId: undefined })).toBe(false)
    expect(build({ prevEvents: [{ eventId: eventId('$p:example.org') }] })).toBe(false)
    expect(build({ authEvents: [{ eventId: eventId('$p:example.org') }] })).toBe(false)
  })
})
