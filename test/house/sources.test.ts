import { describe, expect, it } from '@jest/globals'
import { importsOf, sourceFiles, withoutText } from './sources.ts'

const sample = [
  `import { type A, b } from '../storage/database.ts'`,
  `import type pg from 'pg'`,
  `import {`,
  `  type C,`,
  `} from './endpoint.ts'`,
  `export { d as e } from './other.ts'`,
  `import 'side-effect'`,
  `const late = await import('./late.ts')`,
].join('\n')

describe('the reader of sources', () => {
  it('finds every kind of import', () => {
    const imports = importsOf({ path: 'http/mount.ts', text: sample, code: sample })
    expect(imports.map(({ target, isTypeOnly, names }) => [target, isTypeOnly, names])).toEqual([
      ['storage/database.ts', false, ['A', 'b']],
      ['pg', true, []],
      ['http/endpoint.ts', true, ['C']],
      ['http/other.ts', false, ['d']],
      ['side-effect', false, []],
      ['http/late.ts', false, []],
    ])
  })

  it('tells code from comments, strings, templates and regular expressions', () => {
    const code = withoutText(
      "a() // Date.now()\nb('Date.now()', \"x\") /* Date.now()\n */ c(`Date.now() ${Date.parse(x)}`) = /Date'now/.test(d) / e",
    )
    expect(code).not.toContain('Date.now')
    expect(code).toContain('${Date.parse(x)}')
    expect(code).toContain('.test(d) / e')
    expect(code.split('\n')).toHaveLength(3)
  })

  it('sees the project', () => {
    const files = sourceFiles()
    expect(files.length).toBeGreaterThan(40)
    expect(files.flatMap(importsOf).filter(each => each.isOwn).length).toBeGreaterThan(100)
  })
})
