import { describe, expect, it } from '@jest/globals'
import {
  applyEventFields,
  filterListLimit,
  includesRoom,
  matchesEvent,
  parseFilter,
  parseRoomEventFilter,
  type EventFilter,
  type Filter,
  type FilterableEvent,
} from '../../src/protocol/filters.ts'
import { type JsonValue } from '../../src/protocol/json.ts'

function parsed(json: JsonValue): Filter {
  const result = parseFilter(json)
  if (!result.ok) throw new Error(result.problem)
  return result.filter
}

function parsedRoomEvents(json: JsonValue): EventFilter {
  const result = parseRoomEventFilter(json)
  if (!result.ok) throw new Error(result.problem)
  return result.filter
}

const message: FilterableEvent = {
  type: 'm.room.message',
  sender: '@alice:example.org',
  roomId: '!room:example.org',
  content: { body: 'hello' },
}

describe('parsing a filter', () => {
  it('gives the defaults for an empty one', () => {
    const filter = parsed({})
    expect(filter.eventFormat).toBe('client')
    expect(filter.eventFields).toBeNull()
    expect(filter.room.includeLeave).toBe(false)
    expect(filter.room.timeline.limit).toBe(10)
    expect(filter.room.state.limit).toBeNull()
    expect(filter.room.state.lazyLoadMembers).toBe(false)
    expect(matchesEvent(filter.room.timeline, message)).toBe(true)
  })

  it('accepts the example of the spec', () => {
    const filter = parsed({
      room: {
        state: { types: ['m.room.*'], not_rooms: ['!726s6s6q:example.com'] },
        timeline: {
          limit: 10,
          types: ['m.room.message'],
          not_rooms: ['!726s6s6q:example.com'],
          not_senders: ['@spam:example.com'],
        },
        ephemeral: {
          types: ['m.receipt', 'm.typing'],
          not_rooms: ['!726s6s6q:example.com'],
          not_senders: ['@spam:example.com'],
        },
      },
      presence: { types: ['m.presence'], not_senders: ['@alice:example.com'] },
      event_format: 'client',
      event_fields: ['type', 'content', 'sender'],
    })
    expect(filter.room.timeline.types?.list).toEqual(['m.room.message'])
    expect(filter.eventFields).toEqual([['type'], ['content'], ['sender']])
    expect(matchesEvent(filter.presence, { ...message, type: 'm.presence', roomId: null })).toBe(true)
  })

  it('reads the switches', () => {
    const filter = parsed({
      room: {
        include_leave: true,
        state: { lazy_load_members: true, include_redundant_members: true },
        timeline: { unread_thread_notifications: true },
      },
      event_format: 'federation',
    })
    expect(filter.room.includeLeave).toBe(true)
    expect(filter.room.state.lazyLoadMembers).toBe(true)
    expect(filter.room.state.includeRedundantMembers).toBe(true)
    expect(filter.room.timeline.unreadThreadNotifications).toBe(true)
    expect(filter.room.timeline.lazyLoadMembers).toBe(false)
    expect(filter.eventFormat).toBe('federation')
  })

  it.each([
    [0, 0],
    [1, 1],
    [100, 100],
    [101, 100],
    [Number.MAX_SAFE_INTEGER, 100],
  ])('takes a limit of %d as %d', (given, limit) => {
    expect(parsed({ room: { timeline: { limit: given } } }).room.timeline.limit).toBe(limit)
  })

  it('lets unknown keys pass', () => {
    expect(parseFilter({ 'org.example': [1], room: { timeline: { related_by_rel_types: ['m.thread'] } } }).ok).toBe(
      true,
    )
  })

  it('accepts room IDs without a server, as since room version 12', () => {
    expect(parseFilter({ room: { rooms: ['!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM'] } }).ok).toBe(true)
  })

  it.each<JsonValue>([
    null,
    'text',
    [],
    { presence: 'text' },
    { account_data: [] },
    { room: [] },
    { room: { timeline: 'text' } },
    { room: { not_rooms: '!room:example.org' } },
    { room: { rooms: ['#alias:example.org'] } },
    { room: { include_leave: 'yes' } },
    { room: { state: { senders: ['not a user'] } } },
    { room: { state: { lazy_load_members: 1 } } },
    { room: { timeline: { limit: -1 } } },
    { room: { timeline: { limit: 1.5 } } },
    { room: { timeline: { limit: '10' } } },
    { room: { timeline: { types: [1] } } },
    { room: { timeline: { contains_url: 'yes' } } },
    { event_format: 'other' },
    { event_fields: 'type' },
    { event_fields: [1] },
    { room: { timeline: { types: Array.from({ length: filterListLimit + 1 }, () => 'a') } } },
    { 'org.example': 'x'.repeat(65_536) },
  ])('refuses what is malformed or too large (%#)', json => {
    expect(parseFilter(json)).toEqual({ ok: false, problem: expect.any(String) })
  })
})

describe('a filter', () => {
  it.each<[JsonValue, boolean]>([
    [{ types: ['m.room.message'] }, true],
    [{ types: ['m.room.*'] }, true],
    [{ types: ['*'] }, true],
    [{ types: ['*.message'] }, true],
    [{ types: ['m.room.messag?'] }, false],
    [{ types: ['M.ROOM.MESSAGE'] }, false],
    [{ types: ['m.room.name'] }, false],
    [{ types: [] }, false],
    [{ not_types: ['m.room.*'] }, false],
    [{ not_types: ['m.room.name'] }, true],
    [{ not_types: [] }, true],
    [{ types: ['m.room.message'], not_types: ['m.room.message'] }, false],
    [{ senders: ['@alice:example.org'] }, true],
    [{ senders: ['@*:example.org'] }, false],
    [{ senders: ['@bob:example.org'] }, false],
    [{ senders: [] }, false],
    [{ not_senders: ['@alice:example.org'] }, false],
    [{ senders: ['@alice:example.org'], not_senders: ['@alice:example.org'] }, false],
    [{ rooms: ['!room:example.org'] }, true],
    [{ rooms: ['!other:example.org'] }, false],
    [{ rooms: [] }, false],
    [{ not_rooms: ['!room:example.org'] }, false],
    [{ contains_url: true }, false],
    [{ contains_url: false }, true],
  ])('%j lets a message pass: %j', (json, expected) => {
    expect(matchesEvent(parsedRoomEvents(json), message)).toBe(expected)
  })

  it('looks for the presence of a url', () => {
    const image = { ...message, content: { url: 'mxc://example.org/x' } }
    expect(matchesEvent(parsedRoomEvents({ contains_url: true }), image)).toBe(true)
    expect(matchesEvent(parsedRoomEvents({ contains_url: false }), image)).toBe(false)
  })

  it('for senders lets nothing pass that has none, unless it only excludes', () => {
    const typing = { type: 'm.typing', sender: null, roomId: '!room:example.org', content: {} }
    expect(matchesEvent(parsedRoomEvents({ senders: ['@alice:example.org'] }), typing)).toBe(false)
    expect(matchesEvent(parsedRoomEvents({ not_senders: ['@alice:example.org'] }), typing)).toBe(true)
  })

  it('for rooms decides which rooms are looked at at all', () => {
    expect(includesRoom(parsed({}).room, '!a:b')).toBe(true)
    expect(includesRoom(parsed({ room: { rooms: [] } }).room, '!a:b')).toBe(false)
    expect(includesRoom(parsed({ room: { rooms: ['!a:b'] } }).room, '!a:b')).toBe(true)
    expect(includesRoom(parsed({ room: { rooms: ['!a:b'], not_rooms: ['!a:b'] } }).room, '!a:b')).toBe(false)
  })
})

describe('event fields', () => {
  const event = {
    type: 'm.room.message',
    sender: '@alice:example.org',
    content: { body: 'hello', msgtype: 'm.text', 'm.mentions': { room: true, user_ids: [] } },
  }
  const keep = (...fields: string[]): string =>
    JSON.stringify(applyEventFields(event, parsed({ event_fields: fields }).eventFields))

  it('keep only what they name', () => {
    expect(keep('type', 'content.body')).toBe('{"type":"m.room.message","content":{"body":"hello"}}')
    expect(keep('content.m\\.mentions.room')).toBe('{"content":{"m.mentions":{"room":true}}}')
    expect(keep('content.body', 'content.msgtype')).toBe('{"content":{"body":"hello","msgtype":"m.text"}}')
  })

  it('keep the whole where a longer path lies inside a shorter one, in either order', () => {
    expect(keep('content', 'content.body')).toBe(JSON.stringify({ content: event.content }))
    expect(keep('content.body', 'content')).toBe(JSON.stringify({ content: event.content }))
    expect(event.content).toHaveProperty('msgtype')
  })

  it('leave out what the event does not have', () => {
    expect(keep('state_key', 'content.url', 'sender.x', '__proto__.x', 'constructor')).toBe('{}')
  })

  it('keep everything if the filter does not say', () => {
    expect(applyEventFields(event, null)).toBe(event)
    expect(applyEventFields(event, [])).toBe(event)
  })

  it('cannot reach the prototype of objects', () => {
    const hostile = JSON.parse('{"__proto__": {"polluted": true}}')
    const result = applyEventFields(hostile, [['__proto__', 'polluted']])
    expect(JSON.stringify(result)).toBe('{"__proto__":{"polluted":true}}')
    expect({}).not.toHaveProperty('polluted')
  })
})
