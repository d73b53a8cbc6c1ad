import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { type Browser, type BrowserContext, type Page } from 'playwright-core'
import { welcome } from '../../src/cli/welcome.ts'
import { nobody, path, Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { describeInChromium, launchChromium } from './chromium.ts'

const password = 'correct horse battery staple'
/** Where pictures of the pages are put for whoever wants to look at them. */
const pictures = process.env['LETHE_TEST_PICTURES']

describeInChromium('the pages for people, in Chromium without scripts', () => {
  let server: TestServer
  let browser: Browser
  let context: BrowserContext
  let page: Page
  let alice: Person
  let bob: Person
  let room: string
  /** What the browser complains about, violations of the policy among it. */
  const complaints: string[] = []

  beforeAll(async () => {
    server = await startTestServer({
      clock: 'system',
      settings: { support: { contacts: [{ matrix_id: '@root:lethe.test', email_address: 'root@lethe.test' }] } },
    })
    browser = await launchChromium()
    context = await browser.newContext({ javaScriptEnabled: false })
    page = await context.newPage()
    page.on('console', message => complaints.push(message.text()))
    // A page asks for nothing from elsewhere.
    page.on('request', request => {
      if (!request.url().startsWith(server.url)) complaints.push(`asked for ${request.url()}`)
    })
  }, 90_000)
  afterAll(async () => {
    await browser?.close()
    await server?.close()
  })

  const open = (target: string) => page.goto(`${server.url}${target}`)
  const heading = () => page.getByRole('heading', { level: 1 }).textContent()
  const main = () => page.getByRole('main').innerText()

  async function picture(name: string): Promise<void> {
    if (pictures === undefined) return
    await mkdir(pictures, { recursive: true })
    for (const [label, width, scheme] of [
      ['light', 900, 'light'],
      ['dark-mobile', 390, 'dark'],
    ] as const) {
      // prettier-ignore
      await page.emulateMedia({ colorScheme: scheme })
      await page.setViewportSize({ width, height: 800 })
      await page.screenshot({ path: join(pictures, `${name}-${label}.png`), fullPage: true })
    }
  }

  /** Nothing is wider than a telephone. */
  async function expectNarrow(): Promise<void> {
    const probe = await browser.newContext({ viewport: { width: 360, height: 700 }, storageState: await context.storageState() }) // prettier-ignore
    const narrow = await probe.newPage()
    await narrow.goto(page.url())
    expect(await narrow.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360)
    await probe.close()
  }

  it('say what this server is to whoever opens its address', async () => {
    await open('/')
    expect(await heading()).toBe('lethe.test')
    expect(await main()).toContain('root@lethe.test')
    await picture('home')
    await expectNarrow()
  }, 60_000)

  it('lead from the printed link to an account', async () => {
    const [link = ''] = /https?:\S+\/join\/\S+/.exec((await welcome(server, server.config)).lines.join('\n')) ?? []
    await page.goto(link)
    await picture('join')
    await page.getByLabel('Your name here').fill('alice')
    await page.getByLabel('A password').fill(password)
    await page.getByRole('button').click()
    expect(await heading()).toBe('Welcome')
    await picture('welcome')
    const session = await nobody(server).post('/login', { type: 'm.login.password', user: 'alice', password })
    alice = new Person(server.url, session, password)
    bob = await register(server, 'bob')
    room = await alice.createRoom({ preset: 'private_chat', name: 'Garden party', invite: [bob.userId] })
    await bob.join(room)
    await alice.send(room, 'meet me by the fountain')
    const theirs = await bob.createRoom({ preset: 'private_chat', name: 'Bob’s study', invite: [alice.userId] })
    await bob.setState(theirs, 'm.room.retention', { max_lifetime: 7 * 86_400_000 })
    await alice.join(theirs)
  }, 60_000)

  it('let nobody in without the password, and say no more than that', async () => {
    await open('/account/rooms')
    expect(new URL(page.url()).pathname).toBe('/account')
    await picture('sign-in')
    await page.getByLabel('Your name on').fill('alice')
    await page.getByLabel('Your password').fill('something else')
    await page.getByRole('button').click()
    expect(await page.getByRole('alert').textContent()).toBe('Invalid username or password')
    expect(await context.cookies()).toEqual([])
  }, 60_000)

  it('sign in with a cookie that scripts and other sites do not get', async () => {
    await page.getByLabel('Your password').fill(password)
    await page.getByRole('button').click()
    expect(await main()).toContain('@alice:lethe.test')
    const [cookie] = await context.cookies()
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/', expires: -1 })
    await picture('account')
    await expectNarrow()
  }, 60_000)

  it('set the lifetime of a room, and tell it', async () => {
    await page.getByRole('link', { name: 'Rooms', exact: true }).click()
    const own = page.locator('section', { hasText: 'Garden party' })
    expect(await own.innerText()).toContain('Messages are kept as long as the server.')
    await own.getByRole('combobox').selectOption({ label: 'after 30 days' })
    await own.getByRole('checkbox').check()
    await own.getByRole('button').click()
    await page.getByRole('status').waitFor()
    expect(await own.innerText()).toContain('Messages disappear after 30 days; set by the room.')
    await picture('rooms')
    await expectNarrow()
    expect(await bob.state(room, 'm.room.retention')).toEqual({ max_lifetime: 30 * 86_400_000 })
    expect(JSON.stringify(await bob.messages(room))).toContain('Messages in this room now disappear after 30 days')
  }, 60_000)

  it('offer no lifetime to those who may not set it', async () => {
    const theirs = page.locator('section', { hasText: 'Bob’s study' })
    expect(await theirs.innerText()).toContain('Messages disappear after 7 days; set by the room.')
    expect(await theirs.getByRole('button').count()).toBe(0)
  }, 60_000)

  it('remove a device', async () => {
    const other = await alice.login({ initial_device_display_name: 'A lost telephone' })
    await page.getByRole('link', { name: 'Devices', exact: true }).click()
    await picture('devices')
    await page.getByRole('button', { name: 'Remove A lost telephone' }).click()
    await page.getByRole('status').waitFor()
    expect(await main()).not.toContain('A lost telephone')
    expect((await other.request('GET', '/account/whoami')).status).toBe(401)
    expect((await alice.request('GET', '/account/whoami')).status).toBe(200)
  }, 60_000)

  it('show what is known, and hand it over', async () => {
    await page.getByRole('link', { name: 'What is known' }).click()
    await page.locator('details').filter({ hasText: 'What was said and done in rooms' }).locator('summary').click()
    expect(await main()).toContain('meet me by the fountain')
    await picture('report')
    await expectNarrow()
    const download = page.waitForEvent('download')
    await page.getByRole('link', { name: 'Take it with you' }).click()
    expect((await download).suggestedFilename()).toBe('export.zip')
  }, 60_000)

  it('change the password, and end other sign-ins', async () => {
    const elsewhere = await browser.newContext({ storageState: await context.storageState() })
    await open('/account/password')
    await picture('password')
    await page.getByLabel('Your password', { exact: true }).fill('not this one')
    await page.getByLabel('A new one').fill('a new password it is')
    await page.getByRole('button', { name: 'Change it' }).click()
    expect(await page.getByRole('alert').textContent()).toBe('That is not your password')
    await page.getByLabel('Your password', { exact: true }).fill(password)
    await page.getByLabel('A new one').fill('a new password it is')
    await page.getByRole('button', { name: 'Change it' }).click()
    await page.getByRole('status').waitFor()
    const old = await elsewhere.newPage()
    await old.goto(`${server.url}/account`)
    expect(await old.getByRole('button', { name: 'Sign in' }).count()).toBe(1)
    await elsewhere.close()
    await expect(nobody(server).post('/login', { type: 'm.login.password', user: 'alice', password })).rejects.toThrow()
  }, 60_000)

  it('give a new recovery code to whoever knows the password', async () => {
    await open('/account/password')
    await page.getByLabel('Your password, to be sure').fill('a new password it is')
    await page.getByRole('button', { name: 'Show a new recovery code' }).click()
    expect(await main()).toMatch(/[A-Z]{4}(-[A-Z]{4}){6}/)
    await picture('recovery')
  }, 60_000)

  it('take no form that another page sends', async () => {
    const [cookie] = await context.cookies()
    const headers = { cookie: `${cookie?.name}=${cookie?.value}`, 'content-type': 'application/x-www-form-urlencoded' }
    const send = (body: string, more: Record<string, string> = {}) =>
      fetch(`${server.url}/account/devices`, { method: 'POST', body, headers: { ...headers, ...more }, redirect: 'manual' }) // prettier-ignore
    const form = `device=${alice.deviceId}`
    expect((await send(form)).status).toBe(403)
    expect((await send(`${form}&key=${'A'.repeat(43)}`)).status).toBe(403)
    await open('/account/devices')
    const key = await page.locator('input[name=key]').first().getAttribute('value')
    expect((await send(`${form}&key=${key ?? ''}`, { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
    expect((await alice.request('GET', '/account/whoami')).status).toBe(200)
    expect((await send(`device=nothing&key=${key ?? ''}`, { 'sec-fetch-site': 'same-origin' })).status).toBe(303)
  }, 60_000)

  it('erase the account of whoever means it, and give a receipt', async () => {
    await page.getByRole('link', { name: 'Erase', exact: true }).click()
    await picture('erase')
    await expectNarrow()
    await page.getByLabel('To be sure').fill('@bob:lethe.test')
    await page.getByLabel('Your password').fill('a new password it is')
    await page.getByRole('button', { name: 'Erase my account' }).click()
    expect(await page.getByRole('alert').textContent()).toBe('That is not your user ID')
    await page.getByLabel('To be sure').fill('@alice:lethe.test')
    await page.getByLabel('Your password').fill('a new password it is')
    await page.getByRole('button', { name: 'Erase my account' }).click()
    expect(await heading()).toBe('Your account is closed')
    await picture('closed')
    expect(await context.cookies()).toEqual([])
    await page.getByRole('link', { name: '/receipt/' }).click()
    for (let looks = 0; (await heading()) !== 'Your account is erased' && looks < 100; looks += 1) await page.reload()
    await picture('erased')
    await page.getByRole('button', { name: 'Show the receipt' }).click()
    expect(await heading()).toBe('Receipt')
    expect(await main()).toContain('@alice:lethe.test')
    await picture('receipt')
    const { status } = await bob.request('GET', path`/rooms/${room}/state/m.room.name/`)
    expect(status).toBe(200)
    expect(JSON.stringify(await bob.messages(room))).not.toContain('fountain')
  }, 60_000)

  it('do all that without a complaint of the browser', () => {
    // Answers that refuse are told by the browser too.
    expect(complaints.filter(each => !/status of 40[03]/.test(each))).toEqual([])
  })
})
