import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { inventory } from '../../src/privacy/inventory.ts'
import { dataPage } from '../../src/privacy/words.ts'
import { repositoryFolder } from './sources.ts'

const file = join(repositoryFolder, 'docs/data.md')

describe('docs/data.md', () => {
  it('says what the inventory says (UPDATE_DOCS=1 writes it)', () => {
    const page = dataPage(inventory)
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(file, page)
    expect(readFileSync(file, 'utf8')).toBe(page)
  })
})
