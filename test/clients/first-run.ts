/**
 * `npm run first-run`: what a newcomer does, done and timed. Clones the repository's last commit, follows the README's
 * "Start" to the letter, makes the first account in Chromium with the printed link and a second one with an invitation,
 * and lets two clients of matrix-js-sdk exchange a first encrypted message. Ends with 1 when something does not work or
 * all of it takes longer than two minutes. `LETHE_LISTEN__PORT` and the like are passed on.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Preset } from 'matrix-js-sdk'
import { type Page } from 'playwright-core'
import { launchChromium } from './launch-chromium.ts'
import { startAndReadLink, type StartedServer } from './printed-link.ts'
import { eventually, message, room, sdkDevice } from './sdk-client.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
const password = 'correct horse battery staple'
const limitSeconds = 120

/** A newcomer's shell: this script's own `node_modules/.bin`, which `npm run` puts in front, is none of theirs. */
const env = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_'))),
  PATH: (process.env['PATH'] ?? '')
    .split(':')
    .filter(folder => !folder.includes('node_modules'))
    .join(':'),
}

const run = async (command: string, parameters: readonly string[], cwd: string) =>
  (await promisify(execFile)(command, [...parameters], { cwd, env })).stdout

async function main(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'lethe-first-run-'))
  const clone = join(folder, 'lethe')
  const browser = await launchChromium()
  let server: StartedServer | null = null
  let total = 0
  async function step<T>(what: string, work: () => Promise<T>): Promise<T> {
    const before = performance.now()
    const result = await work()
    const seconds = (performance.now() - before) / 1000
    total += seconds
    console.log(`${seconds.toFixed(1).padStart(6)} s  ${what}`)
    return result
  }
  try {
    await step('git clone', () => run('git', ['clone', '--quiet', repository, clone], folder))
    await step('npm ci', () => run('npm', ['ci'], clone))
    const started = await step('npm start, until the link is printed', () =>
      startAndReadLink('npm', ['start'], { cwd: clone, env }),
    )
    server = started
    const page = await browser.newPage()
    const first = await step('the first account, with the printed link', () => makeAccount(page, started.link))
    const link = await step('npm run lethe -- invite create', async () => {
      const printed = await run('npm', ['run', 'lethe', '--', 'invite', 'create'], clone)
      const [found] = /https?:\S+\/join\/\S+/.exec(printed) ?? []
      if (found === undefined) throw new Error(`no link in ${printed}`)
      return found
    })
    const second = await step('the second account, with the invitation', () => makeAccount(page, link))
    const [alice, bob] = await step('two clients sign in and sync', () =>
      Promise.all(
        [first, second].map(({ name, homeserver }) =>
          sdkDevice(homeserver, { username: name, password, isNew: false }),
        ),
      ),
    )
    await step('a room, an invitation and the first encrypted message', async () => {
      if (!alice || !bob) throw new Error('two clients were started')
      const made = await alice.client.createRoom({ preset: Preset.PrivateChat, invite: [bob.userId] })
      await room(bob, made.room_id, 'invite')
      await bob.client.joinRoom(made.room_id)
      const isThere = () => alice.client.getRoom(made.room_id)?.getMember(bob.userId)?.membership === 'join'
      await eventually(alice, 'the other in the room', isThere)
      await alice.client.sendTextMessage(made.room_id, 'hello')
      const heard = await message(bob, made.room_id, 'hello')
      if (!heard.isEncrypted() || heard.isDecryptionFailure()) throw new Error('the message was not encrypted')
    })
    await step('Ctrl-C', async () => {
      for (const device of [alice, bob]) await device?.stop()
      const code = await started.interrupt()
      if (code !== 0) throw new Error(`it ended with ${code}`)
      // What Postgres leaves when it is not stopped but killed.
      if (existsSync(join(clone, 'lethe-data/postgres/postmaster.pid'))) throw new Error('Postgres was not stopped')
    })
    console.log(`${total.toFixed(1).padStart(6)} s  in all`)
    return total > limitSeconds ? 1 : 0
  } finally {
    await server?.stop()
    await browser.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** Makes an account with the name that was drawn. Returns that, and what the page says is to be given to a client. */
async function makeAccount(page: Page, link: string): Promise<{ name: string; homeserver: string }> {
  await page.goto(link)
  const name = await page.getByLabel('Your name here').inputValue()
  await page.getByLabel('A password').fill(password)
  await page.getByRole('button', { name: 'Make my account' }).click()
  const homeserver = await page.locator('section', { hasText: 'Start talking' }).locator('.key').innerText()
  return { name, homeserver }
}

process.exit(await main())
