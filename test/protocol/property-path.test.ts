import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { parsePropertyPath, valueAtPath } from '../../src/protocol/property-path.ts'

describe('a property path', () => {
  it.each([
    ['content.body', ['content', 'body']],
    ['content.m\\.relates_to', ['content', 'm.relates_to']],
    ['content.m\\\\foo', ['content', 'm\\foo']],
    ['content.m\\x', ['content', 'm\\x']],
    ['content.m\\\\.x', ['content', 'm\\', 'x']],
    ['type', ['type']],
    ['', ['']],
    ['a..b', ['a', '', 'b']],
    ['a\\', ['a\\']],
  ])('%j is %j', (path, names) => {
    expect(parsePropertyPath(path)).toEqual(names)
  })

  it('gives back the names that were escaped', () => {
    const names = fc.array(fc.string({ unit: fc.constantFrom('a', '.', '\\') }), { minLength: 1 })
    fc.assert(
      fc.property(names, list => {
        expect(parsePropertyPath(list.map(name => name.replace(/[.\\]/g, '\\$&')).join('.'))).toEqual(list)
      }),
    )
  })

  it('finds only what an object has itself', () => {
    expect(valueAtPath({ a: { b: null } }, ['a', 'b'])).toBeNull()
    expect(valueAtPath({ a: { b: 1 } }, ['a', 'c'])).toBeUndefined()
    expect(valueAtPath({ a: ['x'] }, ['a', '0'])).toBeUndefined()
    expect(valueAtPath({}, ['constructor', 'name'])).toBeUndefined()
    expect(valueAtPath({}, ['__proto__'])).toBeUndefined()
  })
})
