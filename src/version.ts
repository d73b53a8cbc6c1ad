import { readFileSync } from 'node:fs'

/** The version of this software, as its package says it. */
export const version: string = readVersion()

function readVersion(): string {
  // Beside both `src` and `dist`.
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  const read: unknown = JSON.parse(text)
  if (typeof read === 'object' && read !== null && 'version' in read && typeof read.version === 'string') {
    return read.version
  }
  throw new Error('package.json has no version')
}
