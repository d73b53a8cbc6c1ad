import { describe, expect, it } from '@jest/globals'
import { clientEvent, federationFormatEvent, pruneToStripped, strippedEvent } from '../../src/protocol/client-event.ts'
import { type Event } from '../../src/protocol/event.ts'
import { type EventId, type RoomId, type UserId } from '../../src/protocol/identifiers.ts'
import { type JsonValue } from '../../src/protocol/json.ts'

/** The identifiers are well formed, as the edge would have made sure. */
const message: Event = {
  eventId: '$event' as EventId,
  roomId: '!room:example.org' as RoomId,
  type: 'm.room.message',
  stateKey: null,
  sender: '@alice:example.org' as UserId,
  content: { msgtype: 'm.text', body: 'hello' },
  originServerTs: 1_700_000_000_000,
  depth: 7,
  authEvents: [],
  prevEvents: [],
  redacts: null,
  pdu: { type: 'm.room.message', hashes: { sha256: 'x' }, signatures: {}, depth: 7, auth_events: [], prev_events: [] },
}
const name: Event = { ...message, type: 'm.room.name', stateKey: '', content: { name: 'Lobby' } }
const redaction: Event = { ...message, type: 'm.room.redaction', content: {}, redacts: '$target' as EventId }

describe('the client format of an event', () => {
  it('has the keys for clients and none of the PDU', () => {
    expect(clientEvent(message, {}, true)).toEqual({
      content: { msgtype: 'm.text', body: 'hello' },
      event_id: '$event',
      origin_server_ts: 1_700_000_000_000,
      room_id: '!room:example.org',
      sender: '@alice:example.org',
      type: 'm.room.message',
    })
  })

  it('leaves the room out where the answer tells it in another place', () => {
    expect(clientEvent(message, {}, false)).not.toHaveProperty('room_id')
  })

  it('has a state key exactly if it is a state event, also an empty one', () => {
    expect(clientEvent(name, {}, false)).toHaveProperty('state_key', '')
    expect(clientEvent(message, {}, false)).not.toHaveProperty('state_key')
  })

  it('carries what the server adds under unsigned, if it adds anything', () => {
    expect(clientEvent(message, { unsigned: { age: 5 } }, false)).toHaveProperty('unsigned', { age: 5 })
    expect(clientEvent(message, { unsigned: {} }, false)).not.toHaveProperty('unsigned')
  })

  it('says what a redaction redacts in both places, whatever the room version', () => {
    const old = clientEvent({ ...redaction, content: { reason: 'spam' } }, {}, false)
    expect(old).toMatchObject({ redacts: '$target', content: { reason: 'spam', redacts: '$target' } })
    const since11 = clientEvent({ ...redaction, content: { redacts: '$target' } }, {}, false)
    expect(since11).toMatchObject({ redacts: '$target', content: { redacts: '$target' } })
    expect(redaction.content).toEqual({})
  })

  it('adds no redacts to other events, nor to a redaction that lost its own', () => {
    expect(clientEvent({ ...message, redacts: '$target' as EventId }, {}, false)).not.toHaveProperty('redacts')
    expect(clientEvent({ ...redaction, redacts: null }, {}, false)).not.toHaveProperty('redacts')
  })

  it('keeps content keys that are special in JavaScript', () => {
    const content = JSON.parse('{"__proto__": {"a": 1}, "reason": "x"}')
    expect(JSON.stringify(clientEvent({ ...redaction, content }, {}, false).content)).toBe(
      '{"__proto__":{"a":1},"reason":"x","redacts":"$target"}',
    )
  })

  it('gives the whole PDU in the federation format', () => {
    expect(federationFormatEvent(message, {})).toBe(message.pdu)
    expect(federationFormatEvent(message, { unsigned: { age: 5 } })).toEqual({ ...message.pdu, unsigned: { age: 5 } })
  })
})

describe('stripped state', () => {
  it('has four keys', () => {
    expect(strippedEvent(name)).toEqual({
      content: { name: 'Lobby' },
      sender: '@alice:example.org',
      state_key: '',
      type: 'm.room.name',
    })
  })

  it('is made of state events only', () => {
    expect(strippedEvent(message)).toBeNull()
  })

  it('of another server is pruned to the four keys', () => {
    const stripped = { content: { creator: '@a:b' }, sender: '@a:b', state_key: '', type: 'm.room.create' }
    expect(pruneToStripped({ ...stripped, hashes: {}, event_id: '$x', unsigned: { a: 1 } })).toEqual(stripped)
  })

  it.each<JsonValue>([
    null,
    [],
    'x',
    { content: {}, sender: '@a:b', type: 'm.room.name' },
    { content: [], sender: '@a:b', state_key: '', type: 'm.room.name' },
    { content: {}, sender: 1, state_key: '', type: 'm.room.name' },
    { content: {}, sender: '@a:b', state_key: '' },
  ])('of another server that is malformed is refused: %j', entry => {
    expect(pruneToStripped(entry)).toBeNull()
  })
})
