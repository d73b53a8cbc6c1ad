import { expect, it } from '@jest/globals'
import { type JsonValue } from '../../src/protocol/json.ts'
import { memoryOf } from '../../src/protocol/json-memory.ts'

it('reckons JSON to take more the more it holds, and never less than its text', () => {
  const steps: JsonValue[] = [1, 'text', ['text'], { key: ['text'] }, { key: ['text'], more: { key: 'x'.repeat(500) } }]
  const sizes = steps.map(memoryOf)
  expect(sizes).toEqual([...sizes].sort((left, right) => left - right))
  expect(new Set(sizes).size).toBe(sizes.length)
  for (const [index, step] of steps.entries()) expect(sizes[index]).toBeGreaterThan(JSON.stringify(step).length)
})

it('counts what many small parts cost beside their text', () => {
  const parts = Array.from({ length: 1_000 }, () => [])
  expect(memoryOf(parts)).toBeGreaterThan(1_000 * 32)
})
