import { describe, expect, it } from '@jest/globals'
import { type Event } from '../../src/protocol/event.ts'
import { parseEventId, parseRoomId, parseUserId } from '../../src/protocol/identifiers.ts'
import { type LogEntry } from '../../src/storage/log-entries.ts'
import { Tail } from '../../src/sync/tail.ts'
import { parseSyncToken, parseTimelineToken, syncToken, timelineToken } from '../../src/sync/token.ts'

const alice = parseUserId('@alice:test')
const eventId = parseEventId('$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ')
const roomIds = ['!one:test', '!two:test', '!three:test'].map(name => parseRoomId(name))

function message(position: number): LogEntry {
  const roomId = roomIds[position % roomIds.length]
  if (!roomId || !alice || !eventId) throw new Error('the names of this test are not valid')
  const event: Event = {
    eventId,
    roomId,
    type: 'm.room.message',
    stateKey: null,
    sender: alice,
    content: { body: `m${position}` },
    originServerTs: 0,
    depth: 1,
    authEvents: [],
    prevEvents: [],
    redacts: null,
    pdu: { content: { body: `m${position}` } },
  }
  const stored = { eventNumber: position, roomNumber: 1, position, event, flags: 0, selfDestructTs: null,
      ageTs: 0, snapshotNumber: null, redactedBy: null, transaction: null } // prettier-ignore
  return { kind: 'event', position, roomId, stored, stateChanges: [], pruned: [] }
}

describe('the tail', () => {
  it('knows all that it covers, and no more', () => {
    const tail = new Tail(100, 20_000)
    const all: LogEntry[] = []
    for (let position = 101; position <= 2_000; position++) {
      const entry: LogEntry = position % 5 === 0 ? { kind: 'gone', position } : message(position)
      all.push(entry)
      tail.add([entry])
      expect(tail.head).toBe(position)
    }
    expect(tail.floor).toBeGreaterThan(1_900)
    expect(tail.covers(tail.floor)).toBe(true)
    expect(tail.covers(tail.floor - 1)).toBe(false)
    for (const after of [tail.floor, tail.floor + 3, tail.head - 1, tail.head]) {
      const expected = all.filter(entry => entry.position > after)
      expect([...tail.entriesAfter(after)]).toEqual(expected)
      for (const roomId of roomIds) {
        if (!roomId) continue
        const events = expected.filter(entry => entry.kind === 'event' && entry.roomId === roomId)
        expect(tail.eventsOf(roomId, after, tail.head)).toEqual(events)
        expect((tail.lastOf(roomId) ?? 0) > after).toBe(events.length > 0)
      }
    }
  })

  it('keeps the newest entry however large it is', () => {
    const tail = new Tail(0, 1)
    tail.add([message(1), message(2)])
    expect([tail.floor, tail.head]).toEqual([1, 2])
    expect([...tail.entriesAfter(1)]).toEqual([message(2)])
  })
})

describe('a token', () => {
  it('reads back as what it was made of', () => {
    const token = { position: 12, typing: 2 ** 52, epoch: 'Ab-1' }
    expect(parseSyncToken(syncToken(token))).toEqual(token)
    expect(parseSyncToken(syncToken({ ...token, toDevice: 7 }))).toEqual({ ...token, toDevice: 7 })
    expect(parseSyncToken(syncToken({ ...token, toDevice: 12 }))).toEqual(token)
    expect(parseTimelineToken(timelineToken(-3))).toBe(-3)
    expect(parseTimelineToken(syncToken(token))).toBe(12)
  })

  it.each([
    '',
    's',
    's1',
    's1_2',
    's1_2_',
    's-1_2_e',
    's1_2_e_13_4',
    's1_2_e_2',
    's9999999999999999_0_e',
    's1_2_e f',
    't1_',
  ])('is not %j', text => {
    expect(parseSyncToken(text)).toBeNull()
  })
})
