/** `npm run pictures`: takes the pictures of the pages in docs/images anew, from a server that is gone afterwards. */
import { mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Page } from 'playwright-core'
import sharp from 'sharp'
import { nobody, Person } from '../harness/people.ts'
import { launchChromium } from './launch-chromium.ts'
import { startAndReadLink, type StartedServer } from './printed-link.ts'

const program = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const images = fileURLToPath(new URL('../../docs/images', import.meta.url))
const password = 'correct horse battery staple'
const dayMs = 86_400_000
const limitBytes = 60_000

async function take(page: Page, name: string, height?: number): Promise<void> {
  const clip = height === undefined ? {} : { clip: { x: 0, y: 0, width: page.viewportSize()?.width ?? 0, height } }
  const whole = await page.screenshot({ fullPage: true, ...clip })
  const small = await sharp(whole).png({ palette: true, colours: 48, dither: 0, effort: 10 }).toBuffer()
  if (small.length > limitBytes) throw new Error(`${name} has ${small.length} bytes`)
  await writeFile(join(images, `${name}.png`), small)
  console.log(`docs/images/${name}.png  ${small.length} bytes`)
}

async function takeAll(server: StartedServer, page: Page): Promise<void> {
  const open = (path: string) => page.goto(`${server.url}${path}`)
  const sized = (width: number, colorScheme: 'light' | 'dark') =>
    Promise.all([page.setViewportSize({ width, height: 400 }), page.emulateMedia({ colorScheme })])
  await sized(560, 'light')
  await open(new URL(server.link).pathname)
  await page.getByLabel('Your name here').fill('quiet-otter-0417')
  await page.getByLabel('A password').fill(password)
  await take(page, 'join')
  await page.getByRole('button', { name: 'Make my account' }).click()
  await page.getByRole('heading', { name: 'Welcome' }).waitFor()
  await take(page, 'welcome')
  await open('/')
  await take(page, 'home')

  const session = await nobody(server).post('/login', { type: 'm.login.password', user: 'quiet-otter-0417', password, initial_device_display_name: 'Laptop' }) // prettier-ignore
  const person = new Person(server.url, session, password)
  for (const [name, days] of [
    ['Garden party', 7],
    ['Family', 90],
  ] as const) {
    const room = await person.createRoom({ preset: 'private_chat', name })
    await person.setState(room, 'm.room.retention', { max_lifetime: days * dayMs })
  }
  await open('/account')
  await page.getByLabel('Your name on').fill('quiet-otter-0417')
  await page.getByLabel('Your password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await sized(390, 'dark')
  await take(page, 'account')
  await sized(760, 'light')
  await open('/account/rooms')
  await take(page, 'rooms')
  await open('/account/report')
  await take(page, 'report', 900)
}

const server = await startAndReadLink(process.execPath, [program, 'try'], {
  cwd: tmpdir(),
  env: {
    PATH: process.env['PATH'],
    LETHE_SERVER_NAME: 'example.org',
    LETHE_PUBLIC_BASE_URL: 'https://chat.example.org',
    LETHE_LISTEN__PORT: '0',
    LETHE_METRICS__ENABLED: 'false',
  },
})
try {
  await mkdir(images, { recursive: true })
  const browser = await launchChromium()
  await takeAll(server, await browser.newPage())
  await browser.close()
} finally {
  await server.stop()
}
