import { describe, expect, it } from '@jest/globals'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { redactPdu } from '../../src/protocol/redaction.ts'
import { type RoomVersion } from '../../src/protocol/room-versions.ts'
import { everyVersion, versionOf } from './sample-events.ts'

const topLevel = {
  auth_events: [],
  depth: 1,
  event_id: '$a:x',
  hashes: { sha256: 'h' },
  origin_server_ts: 1,
  prev_events: [],
  room_id: '!r:x',
  sender: '@a:x',
  signatures: { x: { 'ed25519:1': 's' } },
  state_key: '',
}
const topLevelBefore11 = { membership: 'join', origin: 'x', prev_state: [] }
const removed = { age_ts: 1, redacts: '$b:x', unsigned: { age: 1 }, 'org.example.extra': true, ['__proto__']: 1 }

function redactedContent(type: string, content: JsonObject, version: RoomVersion): JsonObject {
  const redacted = redactPdu({ ...topLevel, ...topLevelBefore11, ...removed, type, content }, version)['content']
  if (!isJsonObject(redacted)) throw new Error('a redacted event has content')
  return redacted
}

/** For each event type and each key of its content: the versions in which a redaction keeps it. */
const keeps: readonly (readonly [
  type: string,
  content: JsonObject,
  kept: Record<string, readonly [number, number]>,
])[] = [
  ['m.room.message', { body: 'x', msgtype: 'm.text', membership: 'join', creator: '@a:x' }, {}],
  [
    'm.room.member',
    {
      membership: 'join',
      displayname: 'x',
      avatar_url: 'mxc://x/y',
      join_authorised_via_users_server: '@b:x',
      reason: 'r',
    },
    { membership: [1, 12], join_authorised_via_users_server: [9, 12] },
  ],
  [
    'm.room.create',
    {
      creator: '@a:x',
      room_version: '1',
      'm.federate': false,
      type: 'm.space',
      predecessor: {},
      additional_creators: [],
      other: 1,
    },
    {
      creator: [1, 12],
      room_version: [11, 12],
      'm.federate': [11, 12],
      type: [11, 12],
      predecessor: [11, 12],
      additional_creators: [11, 12],
      other: [11, 12],
    },
  ],
  ['m.room.join_rules', { join_rule: 'restricted', allow: [], other: 1 }, { join_rule: [1, 12], allow: [8, 12] }],
  [
    'm.room.power_levels',
    {
      ban: 1,
      events: {},
      events_default: 1,
      invite: 1,
      kick: 1,
      notifications: { room: 1 },
      redact: 1,
      state_default: 1,
      users: {},
      users_default: 1,
    },
    {
      ban: [1, 12],
      events: [1, 12],
      events_default: [1, 12],
      invite: [11, 12],
      kick: [1, 12],
      redact: [1, 12],
      state_default: [1, 12],
      users: [1, 12],
      users_default: [1, 12],
    },
  ],
  ['m.room.aliases', { aliases: ['#a:x'], other: 1 }, { aliases: [1, 5] }],
  ['m.room.history_visibility', { history_visibility: 'joined', other: 1 }, { history_visibility: [1, 12] }],
  ['m.room.redaction', { redacts: '$b:x', reason: 'r' }, { redacts: [11, 12] }],
  ['m.room.name', { name: 'x' }, {}],
  ['m.room.tombstone', { body: 'x', replacement_room: '!s:x' }, {}],
  ['m.room.third_party_invite', { display_name: 'x', public_key: 'k' }, {}],
  ['m.room.server_acl', { allow: ['*'] }, {}],
]

describe.each(everyVersion)('a redaction in room version %s', (id, version) => {
  it('keeps the top-level keys of its list and no other', () => {
    const redacted = redactPdu(
      { ...topLevel, ...topLevelBefore11, ...removed, type: 'm.room.name', content: { name: 'x' } },
      version,
    )
    const expected = { ...topLevel, ...(Number(id) < 11 ? topLevelBefore11 : {}), type: 'm.room.name', content: {} }
    expect(redacted).toEqual(expected)
    expect(Object.keys(redacted).toSorted()).toEqual(Object.keys(expected).toSorted())
  })

  it.each(keeps)('keeps what it must of %s', (type, content, kept) => {
    const expected = Object.keys(content).filter(key => {
      const span = kept[key]
      return span !== undefined && Number(id) >= span[0] && Number(id) <= span[1]
    })
    const redacted = redactedContent(type, content, version)
    expect(Object.keys(redacted).toSorted()).toEqual(expected.toSorted())
    for (const key of expected) expect(redacted[key]).toEqual(content[key])
  })

  it('changes nothing the second time, and leaves the original alone', () => {
    for (const [type, content] of keeps) {
      const pdu: JsonObject = { ...topLevel, ...removed, type, content }
      const before = JSON.stringify(pdu)
      const once = redactPdu(pdu, version)
      expect(redactPdu(once, version)).toEqual(once)
      expect(JSON.stringify(pdu)).toBe(before)
    }
  })

  it('does not stumble over an event without content or type', () => {
    expect(redactPdu({}, version)).toEqual({ content: {} })
    expect(redactPdu({ type: 1, content: [] }, version)).toEqual({ type: 1, content: {} })
  })
})

describe('third-party invites', () => {
  const invite: JsonObject = { display_name: 'Bob', signed: { mxid: '@b:x', token: 't', signatures: {} } }

  it('keep only their signed part, since version 11', () => {
    const content: JsonObject = { membership: 'invite', third_party_invite: invite }
    expect(redactedContent('m.room.member', content, versionOf('10'))).toEqual({ membership: 'invite' })
    expect(redactedContent('m.room.member', content, versionOf('11'))).toEqual({
      membership: 'invite',
      third_party_invite: { signed: invite['signed'] },
    })
  })

  it('stay as an empty object without one, and go when they are no object', () => {
    const kept = (value: JsonObject[string]): JsonObject =>
      redactedContent('m.room.member', { membership: 'invite', third_party_invite: value }, versionOf('12'))
    expect(kept({ display_name: 'Bob' })).toEqual({ membership: 'invite', third_party_invite: {} })
    expect(kept('Bob')).toEqual({ membership: 'invite' })
    expect(kept(null)).toEqual({ membership: 'invite' })
  })
})

it('a key that only a prototype has is not kept', () => {
  const content = Object.create({ membership: 'join' }) as JsonObject
  expect(redactedContent('m.room.member', content, versionOf('11'))).toEqual({})
})
