import { readFileSync } from 'node:fs'

/** One file of test/vectors, read as text so that no module loader comes between its bytes and the test. */
export function vectorText(name: string): string {
  return readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8')
}
