import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { type EventRead, readEvent, readStoredEvent } from '../../src/protocol/event-format.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../../src/protocol/json.ts'
import { parseJson } from '../../src/protocol/json-reader.ts'
import { redactPdu } from '../../src/protocol/redaction.ts'
import { type RoomVersion } from '../../src/protocol/room-versions.ts'
import { built, builtCreate, eventId, everyVersion, referenceFor, versionOf } from './sample-events.ts'

const numRuns = Number(process.env['PROPERTY_RUNS'] ?? 300)

function sample(version: RoomVersion): JsonObject {
  return built(version, { stateKey: '', type: 'm.room.topic', content: { topic: 'x' } }).pdu
}

function without(pdu: JsonObject, field: string): JsonObject {
  const { [field]: _removed, ...rest } = pdu
  return rest
}

/** As the event would come from another server: through JSON text, with the field written as `text`. */
function withText(pdu: JsonObject, field: string, text: string): JsonValue {
  const marked = JSON.stringify({ ...pdu, [field]: 'MARK' }).replace('"MARK"', text)
  const parsed = parseJson(marked, { numbers: 'preserved' })
  if (!parsed.ok) throw new Error(`the test's text is refused: ${parsed.problem}`)
  return parsed.value
}

const isRefused = (read: EventRead): boolean => !read.ok && read.tooLarge !== true
const isTooLarge = (read: EventRead): boolean => !read.ok && read.tooLarge === true

describe.each(everyVersion)('the event format of room version %s', (id, version) => {
  const pdu = sample(version)
  const isOld = Number(id) <= 5
  const read = (changes: JsonObject): EventRead => readEvent({ ...pdu, ...changes }, version)

  it('reads a good event into its fields', () => {
    const result = readEvent({ ...pdu, unsigned: { age: 1 } }, version)
    if (!result.ok) throw new Error(result.problem)
    const { event } = result
    expect(event).toMatchObject({
      type: 'm.room.topic',
      stateKey: '',
      sender: '@alice:example.org',
      content: { topic: 'x' },
      depth: 5,
      originServerTs: 1_700_000_000_000,
      roomId: pdu['room_id'],
      prevEvents: [referenceFor(version, 'p').eventId],
      authEvents: [referenceFor(version, 'a').eventId, referenceFor(version, 'b').eventId],
      redacts: null,
    })
    expect(event.pdu).toEqual(pdu)
    expect(readStoredEvent({ ...pdu, unsigned: {} }, event.eventId, version)).toEqual(result)
  })

  it('reads the same event, with the same ID, once it is redacted', () => {
    const whole = readEvent(pdu, version)
    const redacted = readEvent(redactPdu(pdu, version), version)
    if (!whole.ok || !redacted.ok) throw new Error('refused')
    expect(redacted.event.eventId).toBe(whole.event.eventId)
    expect(redacted.event.content).toEqual({})
  })

  it.each([
    'type',
    'sender',
    'room_id',
    'content',
    'depth',
    'origin_server_ts',
    'prev_events',
    'auth_events',
    'hashes',
    'signatures',
  ])('refuses an event without %s', field => expect(isRefused(readEvent(without(pdu, field), version))).toBe(true))

  it('tells a state event from another by the presence of state_key', () => {
    const message = readEvent(without(pdu, 'state_key'), version)
    expect(message.ok && message.event.stateKey).toBeNull()
    for (const state_key of [null, 0, false, [], {}]) expect(isRefused(read({ state_key }))).toBe(true)
  })

  it('E-4: refuses every field of a wrong type', () => {
    const wrong: readonly (readonly [field: string, values: readonly JsonValue[]])[] = [
      ['type', [null, 1, true, [], {}]],
      ['sender', [null, 1, [], {}, '', 'alice', '@alice', '@alice:', '!a:example.org', '@a\0:example.org']],
      ['room_id', [null, 1, [], {}, '', '!', 'room:example.org', '@alice:example.org', '!a:b c']],
      ['content', [null, 1, 'x', true, []]],
      ['depth', [null, true, false, '1', [], {}, -1]],
      ['origin_server_ts', [null, true, '1', [], {}]],
      ['prev_events', [null, 1, 'x', {}, [null], [1], [{}], ['x'], ['$'], ['!a:example.org']]],
      ['auth_events', [null, 1, 'x', {}, [null], [1], [{}], ['x'], ['$'], ['!a:example.org']]],
      ['hashes', [null, 1, 'x', [], {}, { sha256: 1 }, { sha256: null }, { sha512: 'x' }]],
      [
        'signatures',
        [null, 1, 'x', [], { 'example.org': null }, { 'example.org': 'x' }, { 'example.org': { 'ed25519:1': 1 } }],
      ],
    ]
    for (const [field, values] of wrong) {
      for (const value of values)
        expect([field, value, isRefused(read({ [field]: value }))]).toEqual([field, value, true])
    }
  })

  it('refuses what is no object at all', () => {
    for (const value of [null, 1, 'x', true, []]) expect(isRefused(readEvent(value, version))).toBe(true)
    expect(isRefused(readEvent(withText({ a: 0 }, 'a', '1.0'), version))).toBe(true)
  })

  it('D-1: accepts as depth the integers from 0 to the limit of the version', () => {
    const depthOf = (text: string): number | null => {
      const result = readEvent(withText(pdu, 'depth', text), version)
      return result.ok ? result.event.depth : null
    }
    expect(depthOf('0')).toBe(0)
    expect(depthOf('9007199254740991')).toBe(Number.MAX_SAFE_INTEGER)
    for (const bad of [
      '-1',
      '-0',
      '1.5',
      '1.0',
      '1e3',
      '"1"',
      'true',
      '9223372036854775808',
      '1e30',
      '-9007199254740992',
    ]) {
      expect([bad, depthOf(bad)]).toEqual([bad, null])
    }
    // Up to version 5 a depth may be as large as 2^63−1, and counts as the largest that we know.
    for (const huge of ['9007199254740992', '9007199254740993', '9223372036854775807']) {
      expect(depthOf(huge)).toBe(isOld ? Number.MAX_SAFE_INTEGER : null)
    }
    const imprecise = read({ depth: 2 ** 60 })
    expect(imprecise.ok && imprecise.event.depth).toBe(isOld ? Number.MAX_SAFE_INTEGER : false)
    expect(isRefused(read({ depth: 2 ** 63 }))).toBe(true)
    expect(isRefused(read({ depth: 1.5 }))).toBe(true)
  })

  it('E-2: accepts numbers that are not canonical only up to version 5', () => {
    for (const number of [
      '1.0',
      '1.5',
      '1e3',
      '-0',
      '9007199254740992',
      '-9007199254740992',
      '123456789012345678901234567890',
    ]) {
      const result = readEvent(withText(pdu, 'content', `{"a":[${number}]}`), version)
      expect([number, result.ok]).toEqual([number, isOld])
    }
    for (const never of ['1e400', '-1e400']) {
      expect(isRefused(readEvent(withText(pdu, 'content', `{"a":${never}}`), version))).toBe(true)
    }
    for (const number of ['9007199254740991', '-9007199254740991', '0']) {
      expect(readEvent(withText(pdu, 'content', `{"a":${number}}`), version).ok).toBe(true)
    }
  })

  it('E-3: does not care about numbers in unsigned', () => {
    expect(readEvent(withText(pdu, 'unsigned', '{"age":123456789012345678901234567890,"x":1.5}'), version).ok).toBe(
      true,
    )
  })

  it('refuses lone surrogates anywhere', () => {
    for (const changes of [
      { content: { a: '\ud800' } },
      { content: { '\udc00': 1 } },
      { state_key: '\ud800' },
      { type: '\ud800' },
    ]) {
      expect(isRefused(read(changes))).toBe(true)
    }
  })

  it('F-1: keeps NUL and noncharacters in type, state_key and content', () => {
    const result = read({ type: 'a\0\ufffe', state_key: 'b\0', content: { 'c\0': 'd\0' } })
    expect(result.ok && [result.event.type, result.event.stateKey, result.event.content]).toEqual([
      'a\0\ufffe',
      'b\0',
      { 'c\0': 'd\0' },
    ])
  })

  it('D-5: accepts 20 prev_events and 10 auth_events, and no more', () => {
    const listOf = (count: number): JsonValue[] =>
      Array.from({ length: count }, (_, index) => {
        const list = pdu[index % 2 === 0 ? 'prev_events' : 'auth_events']
        return (Array.isArray(list) ? list[0] : undefined) ?? null
      })
    expect(read({ prev_events: listOf(20) }).ok).toBe(true)
    expect(isRefused(read({ prev_events: listOf(21) }))).toBe(true)
    expect(read({ auth_events: listOf(10) }).ok).toBe(true)
    expect(isRefused(read({ auth_events: listOf(11) }))).toBe(true)
    expect(read({ prev_events: [], auth_events: [] }).ok).toBe(true)
  })

  it('counts 255 bytes for type and state_key', () => {
    for (const field of ['type', 'state_key']) {
      expect(read({ [field]: 'a'.repeat(255) }).ok).toBe(true)
      expect(isTooLarge(read({ [field]: 'a'.repeat(256) }))).toBe(true)
      expect(read({ [field]: `${'é'.repeat(127)}a` }).ok).toBe(true)
      expect(isTooLarge(read({ [field]: 'é'.repeat(128) }))).toBe(true)
      expect(isTooLarge(read({ [field]: '😀'.repeat(64) }))).toBe(true)
    }
  })

  it('counts 255 bytes for sender and room_id', () => {
    const domain = ':example.org'
    const longest = (sigil: string, characters: number): string =>
      sigil + 'a'.repeat(characters - 1 - domain.length) + domain
    expect(read({ sender: longest('@', 255) }).ok).toBe(true)
    expect(isTooLarge(read({ sender: longest('@', 256) }))).toBe(true)
    expect(read({ room_id: longest('!', 255) }).ok).toBe(!version.roomIdIsCreateHash)
    expect(isTooLarge(read({ room_id: longest('!', 256) }))).toBe(true)
  })

  it('accepts 65,536 bytes of canonical JSON with signatures, and no more', () => {
    const empty = Buffer.byteLength(JSON.stringify({ ...pdu, content: { body: '' } }))
    const fill = (bytes: number, character = 'a'): EventRead => {
      const room = bytes - empty
      return read({
        content: {
          body: character.repeat(room / Buffer.byteLength(character)) + 'a'.repeat(room % Buffer.byteLength(character)),
        },
      })
    }
    expect(fill(65_536).ok).toBe(true)
    expect(isTooLarge(fill(65_537))).toBe(true)
    expect(fill(65_536, 'é').ok).toBe(true)
    expect(isTooLarge(fill(65_537, '😀'))).toBe(true)
    const big = readEvent({ ...pdu, unsigned: { x: 'a'.repeat(100_000) } }, version)
    expect(big.ok).toBe(true)
  })

  it('refuses an event that nests beyond 100 levels, and one that would exhaust the stack', () => {
    const nest = (levels: number): JsonValue => {
      let value: JsonValue = 1
      for (let level = 0; level < levels; level++) value = { a: value }
      return value
    }
    // The event is one level itself.
    expect(read({ content: nest(99) }).ok).toBe(true)
    expect(isRefused(read({ content: nest(100) }))).toBe(true)
    expect(isRefused(read({ content: nest(10_000) }))).toBe(true)
  })

  it('A-14: takes references only in the form of the version', () => {
    const forms: readonly (readonly [JsonValue, boolean])[] = [
      [['$a:example.org', { sha256: 'h' }], Number(id) <= 2],
      [['$a:example.org', {}], Number(id) <= 2],
      [['$a:example.org'], false],
      [['$a:example.org', { sha256: 'h' }, 1], false],
      [['$a:example.org', 'h'], false],
      [[`$${'a'.repeat(43)}`, { sha256: 'h' }], false],
      ['$a:example.org', false],
      [`$${'a'.repeat(43)}`, Number(id) >= 3],
      [`$${'a'.repeat(42)}/`, id === '3'],
      [`$${'a'.repeat(42)}_`, Number(id) >= 4],
      [`$${'a'.repeat(42)}`, false],
      [`$${'a'.repeat(44)}`, false],
    ]
    for (const [form, isGood] of forms) {
      expect([form, read({ prev_events: [form] }).ok]).toEqual([form, isGood])
      expect([form, read({ auth_events: [form] }).ok]).toEqual([form, isGood])
    }
  })

  it('A-14: takes a room ID only in the form of the version', () => {
    expect(read({ room_id: '!a:example.org:8448' }).ok).toBe(Number(id) <= 11)
    expect(read({ room_id: `!${'a'.repeat(43)}` }).ok).toBe(Number(id) === 12)
    for (const bad of ['!a', `!${'a'.repeat(42)}/`, `!${'a'.repeat(42)}`, `!${'a'.repeat(44)}`]) {
      expect(isRefused(read({ room_id: bad }))).toBe(true)
    }
  })

  it('reads what a redaction redacts from where the version keeps it', () => {
    const target = eventId('$target:example.org')
    const redactsOf = (changes: JsonObject): string | null => {
      const result = read({ type: 'm.room.redaction', content: {}, ...changes })
      if (!result.ok) throw new Error(result.problem)
      return result.event.redacts
    }
    expect(redactsOf({ redacts: target })).toBe(Number(id) <= 10 ? target : null)
    expect(redactsOf({ content: { redacts: target } })).toBe(Number(id) >= 11 ? target : null)
    expect(redactsOf({ redacts: 1, content: { redacts: 'x' } })).toBeNull()
    expect(redactsOf({ type: 'm.room.message', redacts: target, content: { redacts: target } })).toBeNull()
  })

  it('reads the create event', () => {
    const create = builtCreate(version)
    expect(create.roomId).toBe(version.roomIdIsCreateHash ? `!${create.eventId.slice(1)}` : '!room:example.org')
    expect(Object.hasOwn(create.pdu, 'room_id')).toBe(!version.roomIdIsCreateHash)
  })

  it('never throws, whatever an event holds', () => {
    const value = fc.oneof(
      fc.jsonValue({ stringUnit: 'binary', maxDepth: 3 }),
      fc.constantFrom<unknown>(Infinity, -0, 2 ** 53, '\ud800', '\0', '__proto__', [['$a:b', {}]]),
    )
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.keys(pdu), 'unsigned', 'redacts', 'event_id', '__proto__'),
        value,
        (field, mutant) => {
          const changed = Object.assign(Object.create(null) as JsonObject, pdu)
          // The arbitrary makes JSON values, and numbers that JSON has no word for.
          changed[field] = mutant as JsonValue
          const result = readEvent(changed, version)
          if (result.ok) expect(isJsonObject(result.event.content)).toBe(true)
          else expect(result.problem).not.toBe('')
        },
      ),
      { numRuns },
    )
  })
})

describe('event IDs of versions 1 and 2', () => {
  const version = versionOf('1')
  const pdu = sample(version)

  it('are required, with a server', () => {
    expect(isRefused(readEvent(without(pdu, 'event_id'), version))).toBe(true)
    for (const event_id of ['', '$a', '$a:', 'a:b', 1, null])
      expect(isRefused(readEvent({ ...pdu, event_id }, version))).toBe(true)
    expect(isTooLarge(readEvent({ ...pdu, event_id: `$${'a'.repeat(255)}:x` }, version))).toBe(true)
  })
})

describe('create events of version 12', () => {
  const version = versionOf('12')
  const { pdu } = builtCreate(version)

  it('C-2: are refused with a room_id, whatever it says', () => {
    for (const room_id of ['!room:example.org', `!${'a'.repeat(43)}`, null, '']) {
      expect(isRefused(readEvent({ ...pdu, room_id }, version))).toBe(true)
    }
  })

  it('must be state events with an empty key', () => {
    expect(isRefused(readEvent({ ...pdu, state_key: 'x' }, version))).toBe(true)
    expect(isRefused(readEvent(without(pdu, 'state_key'), version))).toBe(true)
  })

  it('are the only events without a room_id', () => {
    expect(isRefused(readEvent({ ...pdu, type: 'm.room.topic' }, version))).toBe(true)
  })
})

describe('stored events', () => {
  it('K7: cost only themselves when they are damaged', () => {
    const version = versionOf('12')
    for (const damaged of [
      null,
      1,
      [],
      {},
      { type: 'x' },
      { ...sample(version), content: null },
      { ...sample(version), depth: 2 ** 60 },
    ]) {
      expect(readStoredEvent(damaged, eventId('$x'), version).ok).toBe(false)
    }
  })
})
