import { accessSync, constants } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const places = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome-stable',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
]

/** Nothing but the pages of the tests is to be asked for anything. */
const flags = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

function find(): string | null {
  const chosen = process.env['LETHE_TEST_CHROMIUM']
  for (const place of chosen === undefined ? places : [chosen]) {
    try {
      accessSync(place, constants.X_OK)
      return place
    } catch {
      // Not there: perhaps at the next place.
    }
  }
  return null
}

/** Where Chromium is; `null` when it is not installed. */
export const executablePath = find()

/** Starts Chromium without a window, on a profile of its own that goes when it is closed. */
export function launchChromium(): Promise<Browser> {
  if (executablePath === null) {
    return Promise.reject(
      new Error('Chromium is not installed: apt-get install chromium, or set LETHE_TEST_CHROMIUM to the path of one'),
    )
  }
  return chromium.launch({ executablePath, args: flags, chromiumSandbox: false, headless: true })
}
