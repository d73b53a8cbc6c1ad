import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parse } from 'yaml'
import { main } from '../backup/lethe.ts'
import { lethe } from '../cli/run.ts'
import { chart } from '../helm/values-schema.ts'

/** Every look is a process of its own. */
const patienceMs = 120_000

let folder: string
let server: ChildProcess
/** How the chart's test asks. */
let ofChart: readonly string[]

const writeSettings = (more: object = {}) => {
  const settings = { server_name: 'lethe.test', data_dir: join(folder, 'data'), listen: { port: 0 }, metrics: { enabled: false }, ...more } // prettier-ignore
  // JSON is YAML.
  return writeFile(join(folder, 'lethe.yaml'), JSON.stringify(settings))
}

beforeAll(async () => {
  const template = await readFile(join(chart, 'templates/tests/doctor.yaml'), 'utf8')
  ofChart = parse(/^ +args: (\[.*\])$/m.exec(template)?.[1] ?? '') as string[] // The schema of pods says so.
  folder = await mkdtemp(join(tmpdir(), 'lethe-test-levels-'))
  await writeSettings()
  // With a database of its own: that of the tests would lose what it holds in a power cut, which is a failure.
  server = spawn(process.execPath, [main, 'serve', '--config', join(folder, 'lethe.yaml')], { cwd: folder, env: { PATH: process.env['PATH'] } }) // prettier-ignore
  let shown = ''
  for (const stream of [server.stdout, server.stderr]) stream?.on('data', text => (shown += String(text)))
  for (let tries = 0; tries < 3_000 && !/listening on/.test(shown); tries++) await sleep(20)
}, patienceMs)
afterAll(async () => {
  server.kill('SIGTERM')
  await once(server, 'exit')
  await rm(folder, { recursive: true, force: true })
}, patienceMs)

describe('lethe doctor', () => {
  it('only warns while nobody administers the server', async () => {
    const { exit, shown } = await lethe(folder, ['doctor'])
    expect(shown).toMatch(/^! people +Nobody administers this server\.$/m)
    expect(shown).toMatch(/^Of \d+: 1 warning\.$/m)
    expect(exit).toBe(0)
    expect((await lethe(folder, ['doctor', '--strict'])).exit).toBe(1)
  }, patienceMs) // prettier-ignore

  it('lets the test of the chart pass meanwhile, but not when something is amiss', async () => {
    const { exit, shown } = await lethe(folder, ofChart)
    expect(JSON.parse(shown)).toMatchObject({ administrators: 0, failures: [], warnings: ['Nobody administers this server.'] }) // prettier-ignore
    expect(exit).toBe(0)
    const keyring = join(folder, 'data/keyring/keyring')
    await chmod(keyring, 0o644)
    const amiss = await lethe(folder, ofChart)
    await chmod(keyring, 0o600)
    expect(JSON.parse(amiss.shown)).toMatchObject({ failures: [expect.stringMatching(/^The keyring can be read by others: /)], warnings: ['Nobody administers this server.'] }) // prettier-ignore
    expect(amiss.exit).toBe(1)
  }, patienceMs) // prettier-ignore

  it('only warns of what is set on purpose, and fails at what nobody can want', async () => {
    await writeSettings({ admin: { content_access: true } })
    const meant = await lethe(folder, ['doctor'])
    expect(meant.shown).toMatch(/^! settings +Administrators may read content and sign in as others\.$/m)
    expect(meant.exit).toBe(0)
    await writeSettings({ trusted_proxies: ['0.0.0.0/0'] })
    const unmeant = await lethe(folder, ['doctor'])
    expect(unmeant.shown).toMatch(/^✘ settings +Everybody is trusted as a proxy: 0\.0\.0\.0\/0$/m)
    expect(unmeant.shown).toMatch(/^Of \d+: 1 amiss, 1 warning\.$/m)
    expect(unmeant.exit).toBe(1)
    await writeSettings()
  }, patienceMs) // prettier-ignore

  it('says so when all is well', async () => {
    expect((await lethe(folder, ['user', 'create', 'boss', '--admin'])).exit).toBe(0)
    const { exit, shown } = await lethe(folder, ['doctor', '--strict'])
    expect(shown).toMatch(/^All is well\.$/m)
    expect(exit).toBe(0)
  }, patienceMs) // prettier-ignore
})
