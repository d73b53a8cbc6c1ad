import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { type Browser, type Page } from 'playwright-core'
import { welcome } from '../../src/cli/welcome.ts'
import { nobody } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import type * as browserPage from './browser-page.ts'
import { describeInChromium, launchChromium } from './chromium.ts'
import { serveWebApp, type WebApp } from './web-app.ts'

/** In the web client's page. */
declare const chat: typeof browserPage

/** What these tests use of a browser's page, which Node has no types for. */
interface Element {
  readonly validity: { readonly valid: boolean }
  append(child: Element): void
  src: string
  textContent: string
}
declare const document: { readonly body: Element; createElement(name: string): Element }
declare function getComputedStyle(element: Element): { readonly maxWidth: string }

const password = 'correct horse battery staple'

describeInChromium('the first account, made in Chromium with the link that the server prints', () => {
  let server: TestServer
  let app: WebApp
  let browser: Browser
  let page: Page
  /** With the form open since before the account was made. */
  let otherTab: Page
  let link: string
  /** What the browser complains about, violations of the policy among it. */
  const complaints: string[] = []

  beforeAll(async () => {
    server = await startTestServer({ clock: 'system', settings: { registration: { mode: 'closed' } } })
    app = await serveWebApp()
    browser = await launchChromium()
    link = linkIn((await welcome(server, server.config)).lines.join('\n'))
    page = await browser.newPage()
    page.on('console', message => complaints.push(message.text()))
    page.on('pageerror', error => complaints.push(error.message))
  }, 90_000)
  afterAll(async () => {
    await browser?.close()
    await app?.close()
    await server?.close()
  })

  const heading = () => page.getByRole('heading').textContent()

  it('is asked for on a page that looks as it should', async () => {
    await page.goto(link)
    expect(await heading()).toBe('Join lethe.test')
    // The policy lets the page's own style through: without it there is no such width.
    expect(await page.evaluate(() => getComputedStyle(document.body).maxWidth)).toBe('512px')
    expect(await page.getByLabel('Your name here').inputValue()).toMatch(/^[a-z]+-[a-z]+-\d{4}$/)
    expect(complaints).toEqual([])
  }, 60_000)

  it('may be given another name by chance', async () => {
    const drawn = await page.getByLabel('Your name here').inputValue()
    await page.getByRole('link', { name: 'Draw another name' }).click()
    await expect(page.getByLabel('Your name here').inputValue()).resolves.not.toBe(drawn)
  }, 60_000)

  it('needs a password that is long enough, says the browser before the server is asked', async () => {
    await page.getByLabel('A password').fill('short')
    await page.getByRole('button').click()
    const isValid = await page.getByLabel('A password').evaluate(field => (field as unknown as Element).validity.valid) // It is an input.
    expect([isValid, await heading()]).toEqual([false, 'Join lethe.test'])
  }, 60_000)

  it('shows a name that cannot be had as it was typed, and runs nothing of it', async () => {
    const name = '"><script>document.body.textContent = "run"</script>'
    await page.getByLabel('Your name here').fill(name)
    await page.getByLabel('A password').fill(password)
    await page.getByRole('button').click()
    await page.getByRole('alert').waitFor()
    expect(await page.getByLabel('Your name here').inputValue()).toBe(name)
    expect(complaints.filter(each => !each.includes('status of 400'))).toEqual([])
  }, 60_000)

  it('runs no script that finds its way into the page', async () => {
    await page.goto(link)
    await page.evaluate(() => {
      const script = document.createElement('script')
      script.textContent = 'document.body.textContent = "run"'
      document.body.append(script)
    })
    expect(await heading()).toBe('Join lethe.test')
    expect(complaints.filter(each => each.includes('Content Security Policy'))).toHaveLength(1)
  }, 60_000)

  it('cannot be reached through the page of somebody else', async () => {
    const stranger = await browser.newPage()
    try {
      await stranger.goto(app.origin)
      expect(await stranger.evaluate(url => chat.peek(url), link)).toBe('TypeError')
      await stranger.evaluate(url => {
        const frame = document.createElement('iframe')
        frame.src = url
        document.body.append(frame)
      }, link)
      const frame = await stranger.waitForSelector('iframe').then(found => found.contentFrame())
      await frame?.waitForLoadState()
      expect(await frame?.getByRole('heading', { name: 'Join' }).count()).toBe(0)
    } finally {
      await stranger.close()
    }
  }, 60_000)

  it('is made, an administrator’s', async () => {
    otherTab = await browser.newPage()
    await otherTab.goto(link)
    await page.goto(link)
    await page.getByLabel('Your name here').fill('first')
    await page.getByLabel('A password').fill(password)
    await page.getByRole('button').click()
    await page.getByRole('heading', { name: 'Welcome' }).waitFor()
    expect(await page.getByRole('main').textContent()).toContain('@first:lethe.test')
    const session = await nobody(server).post('/login', {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'first' },
      password,
    })
    expect(session['user_id']).toBe('@first:lethe.test')
    const { rows } = await server.ctx.db.pool.query('SELECT is_admin FROM accounts')
    expect(rows).toEqual([{ is_admin: true }])
  }, 60_000)

  it('leaves a dead link, and a server that prints no other', async () => {
    const answer = await page.goto(link)
    expect([answer?.status(), await heading()]).toEqual([404, 'This link cannot be used'])
    expect(await page.getByRole('textbox').count()).toBe(0)
    await otherTab.getByLabel('Your name here').fill('second')
    await otherTab.getByLabel('A password').fill(password)
    await otherTab.getByRole('button').click()
    await otherTab.getByRole('heading', { name: 'This link cannot be used' }).waitFor()
    const { rows } = await server.ctx.db.pool.query('SELECT count(*)::integer AS accounts FROM accounts')
    expect(rows).toEqual([{ accounts: 1 }])
    expect((await welcome(server, server.config)).lines.join('\n')).not.toContain('/join/')
  }, 60_000)
})

function linkIn(printed: string): string {
  const [link] = /https?:\S+\/join\/\S+/.exec(printed) ?? []
  if (link === undefined) throw new Error('no link was printed')
  return link
}
