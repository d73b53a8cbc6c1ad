import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { type Browser, type BrowserContext, type Page } from 'playwright-core'
import { type TestDatabase, testDatabase } from '../harness/database.ts'
import { nobody, path, Person } from '../harness/people.ts'
import { describeInChromium, launchChromium } from './chromium.ts'
import { type StartedServer, startAndReadLink } from './printed-link.ts'

const main = join(dirname(fileURLToPath(import.meta.url)), '../../src/main.ts')
const password = 'correct horse battery staple'
const codePattern = /[A-Z]{4}(?:-[A-Z]{4}){6}/

/** A port that nobody has: a server that is given 0 cannot say on its pages where it listens. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo // It listens on a host and a port.
  await new Promise(resolve => probe.close(resolve))
  return port
}

for (const javaScriptEnabled of [true, false]) {
  describeInChromium(`a whole life in a browser ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, () => {
    let database: TestDatabase
    let folder: string
    let server: StartedServer
    let browser: Browser
    let context: BrowserContext
    let page: Page
    /** What the content security policy kept from happening, and what was asked of anybody else. */
    const violations: string[] = []
    const strangers: string[] = []
    let name = ''
    let code = ''
    let room = ''

    beforeAll(async () => {
      database = await testDatabase()
      folder = await mkdtemp(join(tmpdir(), 'lethe-journey-'))
      server = await startAndReadLink(process.execPath, [main, 'serve'], {
        cwd: folder,
        env: {
          PATH: process.env['PATH'],
          LETHE_DATABASE__URL: database.url,
          LETHE_LISTEN__PORT: String(await freePort()),
          LETHE_METRICS__ENABLED: 'false',
        },
      })
      browser = await launchChromium()
      context = await browser.newContext({ javaScriptEnabled })
      page = await watchedPage()
    }, 90_000)
    afterAll(async () => {
      await browser?.close()
      expect(await server?.stop()).toBe(0)
      await database?.drop()
      await rm(folder, { recursive: true, force: true })
    })

    async function watchedPage(): Promise<Page> {
      const watched = await context.newPage()
      watched.on('request', request => {
        if (!request.url().startsWith(server.url)) strangers.push(request.url())
      })
      const inspector = await context.newCDPSession(watched)
      inspector.on('Audits.issueAdded', ({ issue }) => {
        if (issue.code === 'ContentSecurityPolicyIssue') violations.push(JSON.stringify(issue.details))
      })
      await inspector.send('Audits.enable')
      return watched
    }

    const heading = () => page.getByRole('heading', { level: 1 }).textContent()
    const text = () => page.getByRole('main').innerText()
    const press = (button: string) => page.getByRole('button', { name: button }).click()
    const follow = (link: string) => page.getByRole('link', { name: link, exact: true }).click()

    it('begins with the address of the server, which says how', async () => {
      await page.goto(server.url)
      expect(await heading()).toBe('localhost')
      expect(await text()).toContain('Nobody has an account yet')
      expect(await page.locator('.key').innerText()).toBe(server.url)
    }, 60_000)

    it('goes from the printed link to an account with a name by chance', async () => {
      await page.goto(server.link)
      name = await page.getByLabel('Your name here').inputValue()
      expect(name).toMatch(/^[a-z]+-[a-z]+-\d{4}$/)
      await page.getByLabel('A password').fill(password)
      await press('Make my account')
      expect(await heading()).toBe('Welcome')
      expect(await text()).toContain(`@${name}:localhost`)
      code = codePattern.exec(await text())?.[0] ?? ''
      expect(code).not.toBe('')
      // With the name filled in, where the client's link can do that.
      const cinny = await page.getByRole('link', { name: 'Open Cinny' }).getAttribute('href')
      expect(cinny).toBe(`https://app.cinny.in/login/${encodeURIComponent(server.url)}/?username=${name}`)
      await page.goto(server.link)
      expect(await heading()).toBe('This link cannot be used')
      expect(await text()).not.toMatch(codePattern)
      await page.goto(server.url)
      expect(await text()).not.toContain('Nobody has an account yet')
    }, 60_000)

    it('signs in', async () => {
      await follow('Your account')
      await page.getByLabel('Your name on').fill(name)
      await page.getByLabel('Your password').fill(password)
      await press('Sign in')
      expect(await text()).toContain(`You are @${name}:localhost`)
    }, 60_000)

    it('sets how long messages live', async () => {
      const session = await nobody(server).post('/login', { type: 'm.login.password', user: name, password, initial_device_display_name: 'A laptop' }) // prettier-ignore
      const person = new Person(server.url, session, password)
      room = await person.createRoom({ preset: 'private_chat', name: 'Garden party' })
      await follow('Rooms')
      await page.getByRole('combobox').selectOption({ label: 'after 7 days' })
      await press('Set')
      await page.getByRole('status').waitFor()
      expect(await text()).toContain('Messages disappear after 7 days')
      expect(await person.state(room, 'm.room.retention')).toEqual({ max_lifetime: 7 * 86_400_000 })
    }, 60_000)

    it('sees its devices and what is known of it, and takes that along', async () => {
      await follow('Devices')
      expect(await text()).toContain('A laptop')
      await follow('What is known')
      expect(await heading()).toBe('What this server knows of you')
      const download = page.waitForEvent('download')
      await follow('Take it with you')
      const file = await readFile(await (await download).path())
      // A ZIP holds the names of its files in clear.
      const names = file.toString('latin1')
      for (const entry of ['README.txt', 'report.json', 'data/events.ndjson']) expect(names).toContain(entry)
    }, 60_000)

    it('sets a new password with the recovery code, once', async () => {
      await page.goto(`${server.url}/recover`)
      await page.getByLabel('Your name here').fill(name)
      await page.getByLabel('Your recovery code').fill(code.toLowerCase())
      await page.getByLabel('A new password').fill(`${password}!`)
      await press('Set the password')
      expect(await heading()).toBe('Your password is set')
      expect(codePattern.exec(await text())?.[0]).not.toBe(code)
      await page.goto(`${server.url}/account`)
      await page.getByLabel('Your name on').fill(name)
      await page.getByLabel('Your password').fill(password)
      await press('Sign in')
      expect(await page.getByRole('alert').textContent()).toBe('Invalid username or password')
      await page.getByLabel('Your password').fill(`${password}!`)
      await press('Sign in')
      expect(await heading()).toBe('Your account')
    }, 60_000)

    it('ends with a receipt', async () => {
      await follow('Erase')
      await page.getByLabel('To be sure').fill(`@${name}:localhost`)
      await page.getByLabel('Your password').fill(`${password}!`)
      await press('Erase my account')
      expect(await heading()).toBe('Your account is closed')
      await page.getByRole('link', { name: '/receipt/' }).click()
      for (let looks = 0; (await heading()) !== 'Your account is erased' && looks < 100; looks += 1) await page.reload()
      await press('Show the receipt')
      expect(await heading()).toBe('Receipt')
      expect(await text()).toContain(`The account @${name}:localhost is erased.`)
      expect(await context.cookies()).toEqual([])
      const { status } = await nobody(server).request('GET', path`/rooms/${room}/state/m.room.name/`)
      expect(status).toBe(401)
    }, 60_000)

    it('asks nobody else for anything, and keeps to the policy', async () => {
      expect([strangers, violations]).toEqual([[], []])
      // What would be seen if it were otherwise.
      await page.route('**/recover', async route => {
        const answer = await route.fetch()
        const body = (await answer.text()).replace('<main>', '<main><img src="http://127.0.0.1:9/picture.png">')
        await route.fulfill({ response: answer, body })
      })
      await page.goto(`${server.url}/recover`)
      for (let looks = 0; violations.length === 0 && looks < 100; looks += 1) await page.waitForTimeout(50)
      expect(violations.join()).toContain('img-src')
    }, 60_000)
  })
}
