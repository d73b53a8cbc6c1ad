import { describe, expect, it } from '@jest/globals'
import { type JsonObject, type JsonValue } from '../../src/protocol/json.ts'
import { relationOf, replyTarget, threadRoot } from '../../src/protocol/relations.ts'

const relating = (relates: JsonValue): JsonObject => ({ 'm.relates_to': relates })

describe('a relation', () => {
  it.each(['m.thread', 'm.replace', 'm.annotation', 'm.reference', 'org.example.other'])(
    'of type %s is read',
    relType => {
      expect(relationOf(relating({ rel_type: relType, event_id: '$parent' }))).toEqual({
        relType,
        eventId: '$parent',
        key: null,
        isFallingBack: false,
      })
    },
  )

  it('has a key only if it is an annotation', () => {
    expect(relationOf(relating({ rel_type: 'm.annotation', event_id: '$parent', key: '👍' }))?.key).toBe('👍')
    expect(relationOf(relating({ rel_type: 'm.annotation', event_id: '$parent', key: 1 }))?.key).toBeNull()
    expect(relationOf(relating({ rel_type: 'm.reference', event_id: '$parent', key: '👍' }))?.key).toBeNull()
  })

  it('of a thread tells a real reply from a fallback', () => {
    const thread = { rel_type: 'm.thread', event_id: '$root', 'm.in_reply_to': { event_id: '$latest' } }
    expect(relationOf(relating(thread))?.isFallingBack).toBe(false)
    expect(relationOf(relating({ ...thread, is_falling_back: true }))?.isFallingBack).toBe(true)
    expect(relationOf(relating({ ...thread, is_falling_back: 'true' }))?.isFallingBack).toBe(false)
    expect(replyTarget(relating(thread))).toBe('$latest')
    expect(threadRoot(relating(thread))).toBe('$root')
  })

  it('of an encrypted event stands in the clear', () => {
    const content = {
      algorithm: 'm.megolm.v1.aes-sha2',
      ciphertext: '…',
      ...relating({ rel_type: 'm.thread', event_id: '$root' }),
    }
    expect(threadRoot(content)).toBe('$root')
  })

  it('is not made by a mere reply', () => {
    const content = relating({ 'm.in_reply_to': { event_id: '$other' } })
    expect(relationOf(content)).toBeNull()
    expect(threadRoot(content)).toBeNull()
    expect(replyTarget(content)).toBe('$other')
  })

  it.each<JsonValue>([
    null,
    'text',
    [],
    {},
    { rel_type: 'm.thread' },
    { event_id: '$parent' },
    { rel_type: 1, event_id: '$parent' },
    { rel_type: '', event_id: '$parent' },
    { rel_type: 'm.thread', event_id: 'parent' },
    { rel_type: 'm.thread', event_id: '$' },
    { rel_type: 'm.thread', event_id: `$${'é'.repeat(128)}` },
    { rel_type: 'x'.repeat(256), event_id: '$parent' },
  ])('that breaks the schema is ignored: %j', relates => {
    expect(relationOf(relating(relates))).toBeNull()
    expect(threadRoot(relating(relates))).toBeNull()
  })

  it('is absent without m.relates_to, and a malformed reply is ignored', () => {
    expect(relationOf({})).toBeNull()
    expect(replyTarget({})).toBeNull()
    expect(replyTarget(relating({ 'm.in_reply_to': '$other' }))).toBeNull()
    expect(replyTarget(relating({ 'm.in_reply_to': { event_id: 'other' } }))).toBeNull()
  })
})
