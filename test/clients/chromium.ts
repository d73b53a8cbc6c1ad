import { describe } from '@jest/globals'
import { executablePath } from './launch-chromium.ts'

export { launchChromium } from './launch-chromium.ts'

/** True in continuous integration, where nothing may be left out quietly. */
const mustRun = !['', '0', 'false'].includes(process.env['CI'] ?? '')

/** `describe` for what needs Chromium: skipped where it is not installed, which the name then says, except with `CI=true`. */
export function describeInChromium(name: string, tests: () => void): void {
  if (executablePath !== null || mustRun) describe(name, tests)
  else describe.skip(`${name} (skipped: Chromium is not installed; LETHE_TEST_CHROMIUM may name its path)`, tests)
}
