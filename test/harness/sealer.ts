import { randomBytes } from 'node:crypto'
import { KeyTree } from '../../src/privacy/keyring/key-tree.ts'
import { createSealer, type Sealer } from '../../src/privacy/seal.ts'
import { systemRandom } from '../../src/random.ts'

export const testTree = KeyTree.from(randomBytes(32))
export const testKeys = { generation: 0, tree: testTree, before: null }
let nextChunk = 0

/** A sealer for tests of what lies beneath the keyring: all of a process open what one of them sealed. */
export function testSealer(isOn = true): Sealer {
  return createSealer({ keys: () => testKeys, takeChunk: () => nextChunk++, now: Date.now, random: systemRandom, isOn })
}
