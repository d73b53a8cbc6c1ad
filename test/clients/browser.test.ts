import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { type Browser, type Page } from 'playwright-core'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { picture } from '../media/images.ts'
import type * as browserPage from './browser-page.ts'
import { describeInChromium, launchChromium } from './chromium.ts'
import { serveWebApp, type WebApp } from './web-app.ts'

/** In the page. */
declare const chat: typeof browserPage

/** Somebody's browser profile with the web client open. */
interface Tab {
  readonly page: Page
  readonly userId: string
  /** URLs that the browser asked permission for before it asked for them. */
  readonly preflights: string[]
}

const maxUploadBytes = 1024 * 1024
const password = 'a long enough password'

describeInChromium('a web client in Chromium, on an origin of its own', () => {
  let server: TestServer
  let app: WebApp
  let browser: Browser
  let alice: Tab
  let bob: Tab
  let roomId: string

  beforeAll(async () => {
    server = await startTestServer({ clock: 'system', settings: { media: { max_upload_bytes: maxUploadBytes } } })
    app = await serveWebApp()
    browser = await launchChromium()
  }, 90_000)
  afterAll(async () => {
    await browser?.close()
    await app?.close()
    await server?.close()
  })

  async function openTab(): Promise<Omit<Tab, 'userId'>> {
    const context = await browser.newContext()
    const page = await context.newPage()
    const preflights: string[] = []
    const inspector = await context.newCDPSession(page)
    inspector.on('Network.requestWillBeSent', ({ initiator, request }) => {
      if (initiator.type === 'preflight') preflights.push(request.url)
    })
    await inspector.send('Network.enable')
    await page.goto(app.origin)
    return { page, preflights }
  }

  async function signIn(name: string): Promise<Tab> {
    const tab = await openTab()
    const account = [server.url, name, password] as const
    const stages = await tab.page.evaluate(account => chat.signUp(...account), account)
    expect(stages).toEqual([['m.login.dummy']])
    const userId = await tab.page.evaluate(account => chat.signIn(...account), account)
    return { ...tab, userId }
  }

  it('registers, signs in and syncs, with the browser’s permission', async () => {
    alice = await signIn('alice')
    bob = await signIn('bob')
    expect([alice.userId, bob.userId]).toEqual(['@alice:lethe.test', '@bob:lethe.test'])
    const asked = alice.preflights.map(url => new URL(url).pathname)
    for (const name of ['register', 'login', 'sync', 'keys/upload'])
      expect(asked).toContain(`/_matrix/client/v3/${name}`)
  }, 60_000)

  it('exchanges messages while both are looking', async () => {
    roomId = await alice.page.evaluate(userId => chat.createRoom(userId, false), bob.userId)
    await bob.page.evaluate(roomId => chat.accept(roomId), roomId)
    const heard = bob.page.evaluate(roomId => chat.hear(roomId, 'hello Bob'), roomId)
    await alice.page.evaluate(roomId => chat.say(roomId, 'hello Bob'), roomId)
    expect(await heard).toEqual({ sender: alice.userId, isEncrypted: false })
    const answered = alice.page.evaluate(roomId => chat.hear(roomId, 'hello Alice'), roomId)
    await bob.page.evaluate(roomId => chat.say(roomId, 'hello Alice'), roomId)
    expect(await answered).toEqual({ sender: bob.userId, isEncrypted: false })
  }, 60_000)

  it('uploads a picture, and shows it and its thumbnail to the other', async () => {
    const bytes = await picture(400, 200, 'png')
    const sent = await alice.page.evaluate(args => chat.sendPicture(...args), [roomId, 'red.png', 'image/png', bytes.toString('base64')] as const) // prettier-ignore
    expect(sent).toBe(1)
    const see = (what: 'whole' | 'thumbnail') =>
      bob.page.evaluate(args => chat.seePicture(...args), [roomId, 'red.png', what] as const)
    expect(await see('whole')).toEqual({ type: 'image/png', width: 400, height: 200, bytes: bytes.length })
    expect(await see('thumbnail')).toMatchObject({ type: 'image/jpeg', width: 320, height: 160 })
  }, 60_000)

  it('reads what is wrong, where something is', async () => {
    const ask = (method: string, path: string, bodyBytes: number | null = null) =>
      alice.page.evaluate(args => chat.ask(...args), [method, server.url + path, bodyBytes] as const)
    const refusal = (status: number, errcode: string) => ({ status, errcode, retryAfter: null })
    expect(await ask('GET', '/_matrix/client/v3/no/such/path')).toEqual(refusal(404, 'M_UNRECOGNIZED'))
    expect(await ask('DELETE', '/_matrix/client/v3/sync')).toEqual(refusal(405, 'M_UNRECOGNIZED'))
    expect(await ask('POST', '/_matrix/client/v3/createRoom', 10)).toEqual(refusal(400, 'M_NOT_JSON'))
    expect(await ask('POST', '/_matrix/media/v3/upload', maxUploadBytes + 1)).toEqual(refusal(413, 'M_TOO_LARGE'))
    // Far more than fits into any buffer on the way, so that the browser is still sending when it is refused.
    expect(await ask('POST', '/_matrix/media/v3/upload', 10 * maxUploadBytes)).toEqual(refusal(413, 'M_TOO_LARGE'))
    const stranger = await openTab()
    const whoami = `${server.url}/_matrix/client/v3/account/whoami`
    expect(await stranger.page.evaluate(url => chat.ask('GET', url), whoami)).toEqual(refusal(401, 'M_MISSING_TOKEN'))
    await stranger.page.context().close()
  }, 60_000)

  it('reads how long it has to wait', async () => {
    const strict = await startTestServer({ settings: { rate_limits: { enabled: true } } })
    const stranger = await openTab()
    try {
      const url = `${strict.url}/_matrix/client/v3/login`
      for (;;) {
        const answer = await stranger.page.evaluate(url => chat.ask('POST', url, 10), url)
        if (answer.status !== 429) continue
        expect(answer.errcode).toBe('M_LIMIT_EXCEEDED')
        expect(Number(answer.retryAfter)).toBeGreaterThan(0)
        break
      }
    } finally {
      await stranger.page.context().close()
      await strict.close()
    }
  }, 60_000)

  it('talks end to end encrypted, with its keys in the browser’s database', async () => {
    const secretRoomId = await bob.page.evaluate(userId => chat.createRoom(userId, true), alice.userId)
    await alice.page.evaluate(roomId => chat.accept(roomId), secretRoomId)
    await bob.page.evaluate(args => chat.seeMember(...args), [secretRoomId, alice.userId] as const)
    await bob.page.evaluate(roomId => chat.say(roomId, 'a secret'), secretRoomId)
    const heard = await alice.page.evaluate(roomId => chat.hear(roomId, 'a secret'), secretRoomId)
    expect(heard).toEqual({ sender: bob.userId, isEncrypted: true })
    // After a reload the same device goes on.
    await bob.page.reload()
    await bob.page.evaluate(() => chat.resume())
    await bob.page.evaluate(roomId => chat.say(roomId, 'another secret'), secretRoomId)
    const again = await alice.page.evaluate(roomId => chat.hear(roomId, 'another secret'), secretRoomId)
    expect(again).toEqual({ sender: bob.userId, isEncrypted: true })
  }, 60_000)

  it('carries on after a reload where it was', async () => {
    await alice.page.evaluate(() => chat.save())
    await alice.page.goto('about:blank')
    await bob.page.evaluate(roomId => chat.say(roomId, 'while you were away'), roomId)
    await alice.page.goto(app.origin)
    const firstSync = alice.page.waitForRequest(request => new URL(request.url()).pathname.endsWith('/sync'))
    expect(await alice.page.evaluate(() => chat.resume())).toContain(roomId)
    expect(new URL((await firstSync).url()).searchParams.get('since')).toMatch(/^s/)
    await alice.page.evaluate(roomId => chat.hear(roomId, 'while you were away'), roomId)
  }, 60_000)

  it('signs out', async () => {
    await bob.page.evaluate(() => chat.signOut())
    const whoami = `${server.url}/_matrix/client/v3/account/whoami`
    const answer = await bob.page.evaluate(url => chat.ask('GET', url), whoami)
    expect([answer.status, answer.errcode]).toEqual([401, 'M_UNKNOWN_TOKEN'])
  }, 60_000)
})
