import { describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { faults } from '../../src/cli/doctor/findings.ts'
import { repositoryFolder, sourceFiles } from './sources.ts'

const page = readFileSync(join(repositoryFolder, 'docs/troubleshooting.md'), 'utf8')
const messages = [...page.matchAll(/^### `(.+)`$/gm)].map(([, message = '']) => message)
const texts = sourceFiles().map(({ text }) => text)

describe('docs/troubleshooting.md', () => {
  it('tells of nothing that Lethe does not say', () => {
    expect(messages.length).toBeGreaterThan(60)
    expect(messages.filter(message => !texts.some(text => text.includes(message)))).toEqual([])
  })

  it('has a word, and the remedy, on everything that the doctor may find', () => {
    const known = new Set(messages)
    expect(Object.values(faults).flatMap(([message]) => (known.has(message) ? [] : [message]))).toEqual([])
    expect(Object.values(faults).flatMap(([, fix]) => (page.replace(/\s+/g, ' ').includes(fix) ? [] : [fix]))).toEqual(
      [],
    )
  })

  it('has a word on every refusal to start', () => {
    const refusals = texts.flatMap(text =>
      [
        ...text.matchAll(/new (?:StartError|SigningKeyError|KeyringError|EmbeddedPostgresError)\(\s*([`'][^`]*?[`'])/g),
      ].map(([, literal = '']) => literal.slice(1, -1)),
    )
    expect(refusals.length).toBeGreaterThan(15)
    const isKnown = (refusal: string) => messages.some(message => refusal.includes(message))
    expect(refusals.filter(refusal => !isKnown(refusal) && !rare.some(part => refusal.includes(part)))).toEqual([])
  })
})

/** What says by itself all that there is to say, or is said to those who gave a command and not at a start. */
const rare = [
  'cannot be read (', 'cannot be written (', 'could not be written', '${store.place}: ', '${store.place} is missing.',
  'It is not a keyring.', 'It is not a backup of a keyring.', 'The backup needs a passphrase', 'No passphrase was given',
  'The backup is older', 'It is damaged: it is not what', 'older copy of the keyring: the key it was', 'is gone. The server goes on',
  'Other processes keep starting', 'It has been rotated', 'Some values do not open', 'in the midst of a rotation', 'from before a rotation', 'Sealing is switched off', 'Vault', '${path}: ${', '${place}',
] // prettier-ignore
