import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isJsonObject, type JsonObject } from '../../src/protocol/json.ts'
import { exchange } from '../harness/exchange.ts'
import { at, Caller, objectsAt, type Person, register, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const main = join(dirname(fileURLToPath(import.meta.url)), '../../src/main.ts')

/** Every command is a process of its own, and on a machine with much else to do each takes seconds. */
const patienceMs = 300_000

/** A server that runs, on the machine's clock as the commands do. */
let server: TestServer
let folder: string

beforeAll(async () => {
  server = await startTestServer({ clock: 'system' })
  folder = await mkdtemp(join(tmpdir(), 'lethe-test-commands-'))
  await writeFile(join(folder, 'lethe.yaml'), JSON.stringify(settings()))
})
afterAll(async () => {
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

const settings = () => ({
  server_name: 'lethe.test',
  data_dir: server.config.dataDir,
  database: { url: server.database.url, pool_size: 2 },
  registration: { shared_secret: 'canary-secret' },
})

/** Runs a command as a process of its own, with the settings of the server. */
async function lethe(parameters: readonly string[], input = ''): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [main, ...parameters], { cwd: folder, env: { PATH: process.env['PATH'] } })
  let [out, err] = ['', '']
  child.stdout.on('data', chunk => (out += String(chunk)))
  child.stderr.on('data', chunk => (err += String(chunk)))
  child.stdin.end(input)
  const [code] = (await once(child, 'close')) as [number] // The event's first value is the code.
  return { code, out, err }
}

/** The JSON of a command that was expected to succeed. */
async function json(...parameters: readonly string[]): Promise<JsonObject> {
  const { code, out, err } = await lethe([...parameters, '--json'])
  if (code !== 0) throw new Error(`lethe ${parameters.join(' ')} ended with ${code}: ${err}`)
  const read: unknown = JSON.parse(out)
  if (isJsonObject(read)) return read
  throw new Error('the answer is no object')
}

const login = (user: string, password: string) =>
  new Caller(server.url).request('POST', '/login', {
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user },
    password,
  })

describe('lethe user', () => {
  it(
    'makes an account that can sign in beside a running server, and shows it',
    async () => {
      const made = await json('user', 'create', 'boss', '--admin')
      expect(made).toMatchObject({ user_id: '@boss:lethe.test', admin: true })
      expect((await login('boss', text(made, 'password'))).status).toBe(200)
      const listed = objectsAt(await json('user', 'list'), 'users')
      expect(listed.find(user => user['name'] === '@boss:lethe.test')).toMatchObject({ admin: true })
      expect((await lethe(['user', 'create', 'boss'])).code).toBe(1)
      expect((await lethe(['user', 'create', '@x:other.test'])).code).toBe(1)
    },
    patienceMs,
  )

  it(
    'takes a password by the standard input and never shows it',
    async () => {
      const { code, out } = await lethe(['user', 'create', 'typed', '--password-stdin'], 'typed by hand\n')
      expect([code, out]).toEqual([0, 'Made @typed:lethe.test.\n'])
      expect((await login('typed', 'typed by hand')).status).toBe(200)
      expect((await lethe(['user', 'create', 'weak', '--password-stdin'], 'short\n')).code).toBe(1)
    },
    patienceMs,
  )

  it(
    'changes accounts, and the running server knows at once',
    async () => {
      const user: Person = await register(server, 'subject')
      await json('user', 'lock', 'subject')
      expect((await user.request('GET', '/account/whoami')).status).toBe(401)
      await json('user', 'lock', '@subject:lethe.test', '--undo')
      await user.get('/account/whoami')
      await json('user', 'promote', 'subject')
      expect((await user.request('GET', '/_lethe/admin/v1/audit')).status).toBe(200)
      await json('user', 'promote', 'subject', '--undo')
      expect((await user.request('GET', '/_lethe/admin/v1/audit')).status).toBe(403)
      const reset = await json('user', 'reset-password', 'subject')
      expect((await user.request('GET', '/account/whoami')).status).toBe(401)
      expect((await login('subject', text(reset, 'password'))).status).toBe(200)
      expect((await lethe(['user', 'erase', 'subject'])).code).toBe(2)
      const erased = await register(server, 'erased')
      const sent = await erased.send(await erased.createRoom(), 'a word of the erased')
      expect(await json('user', 'erase', 'erased', '--yes')).toMatchObject({
        erased: true,
        finished: true,
        receipt: expect.stringMatching(/^http:\/\/127\.0\.0\.1:8008\/receipt\/lte_/) as unknown,
      })
      expect((await erased.request('GET', '/account/whoami')).status).toBe(401)
      // The command ends when the work does, whoever did it.
      expect((await server.ctx.db.pool.query('SELECT FROM events WHERE event_id = $1', [sent])).rowCount).toBe(0)
      expect((await lethe(['user', 'lock', 'nobody'])).code).toBe(3)
    },
    patienceMs,
  )
})

describe('lethe invite', () => {
  it(
    'makes a link that opens, lists it, and takes it back',
    async () => {
      const made = await json('invite', 'create', '--uses', '2', '--hours', '1')
      const target = new URL(text(made, 'link')).pathname
      expect((await exchange(server.url, { method: 'GET', target })).status).toBe(200)
      expect(objectsAt(await json('invite', 'list'), 'invites')).toMatchObject([{ name: made['name'], uses_left: 2 }])
      await json('invite', 'revoke', text(made, 'name'))
      expect((await exchange(server.url, { method: 'GET', target })).status).toBe(404)
      expect((await lethe(['invite', 'revoke', 'none'])).code).toBe(3)
      for (const wrong of [
        ['--uses', '0'],
        ['--uses', 'many'],
        ['--hours', '9999'],
      ]) {
        expect((await lethe(['invite', 'create', ...wrong])).code).toBe(2)
      }
    },
    patienceMs,
  )

  it(
    'shows a code to scan',
    async () => {
      const { out } = await lethe(['invite', 'create'])
      expect(out).toMatch(/^http\S+\/join\/ltj_\S+\n\n[█▀▄ \n]+\nThat is an address of this machine alone: public_base_url is the one for others\.\n$/) // prettier-ignore
    },
    patienceMs,
  )

  it(
    'names an address that can be opened, whatever the server listens on',
    async () => {
      const links = async (name: string, more: object) => {
        await writeFile(join(folder, name), JSON.stringify({ ...settings(), ...more }))
        return text(await json('invite', 'create', '--config', name), 'link').replace(/\/join\/.*/, '')
      }
      expect(await links('all.yaml', { listen: { host: '0.0.0.0', port: 8123 } })).toBe('http://localhost:8123')
      expect(await links('six.yaml', { listen: { host: '::1', port: 8123 } })).toBe('http://[::1]:8123')
      const named = { listen: { host: '0.0.0.0' }, public_base_url: 'https://chat.lethe.test/' }
      expect(await links('named.yaml', named)).toBe('https://chat.lethe.test')
    },
    patienceMs,
  )
})

describe('lethe room and lethe retention', () => {
  it(
    'list, show, bound and delete rooms',
    async () => {
      const user = await register(server)
      const room = await user.createRoom({ name: 'Doomed' })
      const sent = await user.send(room, 'hello')
      expect(objectsAt(await json('room', 'list'), 'rooms').map(each => each['room_id'])).toContain(room)
      expect(await json('room', 'show', room)).toMatchObject({ room_id: room, joined_members: 1 })
      expect(await json('retention', 'set', room, '1s')).toEqual({ room_id: room, max_lifetime: 1_000 })
      expect(objectsAt(await json('retention', 'list'), 'rooms')).toEqual([{ room_id: room, max_lifetime: 1_000 }])
      expect((await user.request('GET', `/rooms/${encodeURIComponent(room)}/event/${encodeURIComponent(sent)}`)).status).toBe(404) // prettier-ignore
      expect(await json('retention', 'clear', room)).toMatchObject({ cleared: true })
      expect(await json('room', 'retention', room)).toEqual({ room_id: room, max_lifetime: null, set_by: 'nobody' })
      expect(await json('room', 'retention', room, '30d')).toMatchObject({ max_lifetime: 2_592_000_000, set_by: 'operator' }) // prettier-ignore
      expect((await lethe(['retention', 'list'])).out).toBe(`${room}  30 days\n`)
      const { out } = await lethe(['room', 'retention', room, 'clear'])
      expect(out).toBe('Messages are kept as long as the server.\n')
      for (const command of [
        ['retention', 'set', room, 'soon'],
        ['room', 'retention', room, 'soon'],
        ['room', 'show', 'x'],
        ['room', 'purge', room],
      ]) {
        // prettier-ignore
        expect([command, (await lethe(command)).code]).toEqual([command, 2])
      }
      expect((await lethe(['room', 'retention', '!none:lethe.test'])).code).toBe(3)
      expect(await json('room', 'purge', room, '--yes')).toMatchObject({ status: 'complete' })
      expect((await lethe(['room', 'show', room])).code).toBe(3)
      expect(await user.get('/joined_rooms')).toEqual({ joined_rooms: [] })
    },
    patienceMs,
  )
})

describe('lethe config, doctor and migrate', () => {
  it(
    'tell the settings without their secrets',
    async () => {
      expect(await json('config', 'check')).toEqual({ ok: true, server_name: 'lethe.test', warnings: [] })
      await writeFile(
        join(folder, 'asks.yaml'),
        JSON.stringify({ federation: { enabled: true }, presence: { enabled: true } }),
      )
      const { out: warned } = await lethe(['config', 'check', '--config', 'asks.yaml'])
      expect(warned.split('\n')).toEqual([
        'The settings are right: localhost.',
        'Warning: federation.enabled has no effect (This version talks to no other servers.)',
        'Warning: presence.enabled has no effect (This version tells nobody who is online.)',
        '',
      ])
      const { out } = await lethe(['config', 'show'])
      expect(out).toContain('server_name: lethe.test')
      expect(out).not.toContain('canary-secret')
      expect(at(await json('config', 'schema'), 'properties', 'server_name', 'type')).toBe('string')
    },
    patienceMs,
  )

  it(
    'say what is amiss',
    async () => {
      const { code, out } = await lethe(['doctor', '--json'])
      const said = JSON.parse(out) as JsonObject // What the command promises.
      expect(said).toMatchObject({ server_name: 'lethe.test', accounts: expect.any(Number) as unknown })
      expect(code).toBe((said['failures'] as unknown[]).length === 0 ? 0 : 1)
      expect(await json('migrate', '--plan')).toEqual({ pending: [] })
      expect(await json('migrate')).toEqual({ applied: [] })
    },
    patienceMs,
  )

  it(
    'say when they begin a new server, as in a folder that was mistaken',
    async () => {
      await writeFile(join(folder, 'mistaken.yaml'), JSON.stringify({ data_dir: join(folder, 'mistaken') }))
      const list = () => lethe(['user', 'list', '--json', '--config', 'mistaken.yaml'])
      const [first, second] = [await list(), await list()]
      expect(first).toMatchObject({ code: 0, err: expect.stringContaining('a new one begins there') as unknown })
      expect(second).toMatchObject({ code: 0, err: '' })
    },
    patienceMs,
  )

  it(
    'end with 4 where nothing can be used',
    async () => {
      await writeFile(join(folder, 'bad.yaml'), 'lisen: {}')
      await writeFile(join(folder, 'away.yaml'), 'database: { url: "postgres://nobody@127.0.0.1:1/none" }')
      for (const command of [
        ['config', 'check'],
        ['user', 'list'],
        ['migrate', '--plan'],
      ]) {
        expect([command, (await lethe([...command, '--config', 'bad.yaml'])).code]).toEqual([command, 4])
      }
      const { code, err } = await lethe(['user', 'list', '--config', 'away.yaml'])
      expect(code).toBe(4)
      expect(err).not.toContain('    at ')
      for (const command of [['migrate'], ['backup', join(folder, 'no.backup')]]) {
        const { code: status, out } = await lethe([...command, '--config', 'away.yaml', '--json'])
        expect([command, status, JSON.parse(out)]).toEqual([command, 4, { error: expect.stringContaining('ECONNREFUSED') }]) // prettier-ignore
      }
    },
    patienceMs,
  )
})

describe('lethe init', () => {
  it(
    'writes settings that were tried, once',
    async () => {
      const init = (...parameters: readonly string[]) => lethe(['init', '--server-name', 'example.org', ...parameters])
      const file = join(folder, 'etc/new/lethe.yaml')
      const { code, out } = await init('--config', file)
      expect([code, out]).toEqual([0, expect.stringContaining(`lethe serve --config ${file}`)])
      expect(await readFile(file, 'utf8')).toBe('server_name: example.org\n')
      expect((await lethe(['config', 'check', '--config', file])).code).toBe(0)
      expect((await init('--config', file)).code).toBe(1)
      const below = await init('--config', join(file, 'lethe.yaml'))
      expect([below.code, below.err]).toEqual([1, expect.stringContaining('cannot be written')])
      expect(await readFile(file, 'utf8')).toBe('server_name: example.org\n')
    },
    patienceMs,
  )

  it(
    'leaves nothing where what it was told cannot be used',
    async () => {
      const file = join(folder, 'none.yaml')
      for (const [exit, ...wrong] of [
        [2],
        [2, '--server-name', 'no name'],
        [2, '--server-name', 'example.org', '--database-url', 'mysql://host/lethe'],
        [4, '--server-name', 'example.org', '--database-url', 'postgres://nobody@127.0.0.1:1/none'],
        // The database is the running server's.
        [2, '--server-name', 'example.org', '--database-url', server.database.url],
      ] as const) {
        expect([wrong, (await lethe(['init', '--config', file, ...wrong])).code]).toEqual([wrong, exit])
        await expect(readFile(file)).rejects.toThrow('ENOENT')
      }
      const told = await json('init', '--config', file, '--server-name', 'lethe.test', '--database-url', server.database.url) // prettier-ignore
      expect(told).toMatchObject({ file, server_name: 'lethe.test', database: 'external' })
    },
    patienceMs,
  )

  it(
    'asks at a terminal until it can use what is typed',
    async () => {
      const file = join(folder, 'asked.yaml')
      const typed = ['no name', 'lethe.test', 'postgres://nobody@127.0.0.1:1/none', server.database.url]
      const { code, shown } = await atTerminal(['init', '--config', file], [...typed])
      expect([code, shown]).toEqual([0, expect.stringMatching(/"no name" is not[^]*ECONNREFUSED[^]*Wrote/)])
      expect(await readFile(file, 'utf8')).toContain(server.database.url)
      // Ctrl-D.
      const left = await atTerminal(['init', '--config', `${file}2`], ['lethe.test', '\u0004'])
      expect(left.code).toBe(1)
      await expect(readFile(`${file}2`)).rejects.toThrow('ENOENT')
    },
    patienceMs,
  )
})

/** Runs a command that is given a terminal, and types an answer to each question. */
async function atTerminal(parameters: readonly string[], answers: string[]): Promise<{ code: number; shown: string }> {
  const command = [process.execPath, main, ...parameters].join(' ')
  const child = spawn('script', ['-qec', command, '/dev/null'], { cwd: folder, env: { PATH: process.env['PATH'] } })
  let [shown, asked] = ['', 0]
  child.stdout.on('data', chunk => {
    shown += String(chunk)
    const questions = shown.match(/(?:Name|Database): /g)?.length ?? 0
    if (questions === asked) return
    asked = questions
    const next = answers.shift() ?? ''
    child.stdin.write(next === '\u0004' ? next : `${next}\r`)
  })
  const [code] = (await once(child, 'close')) as [number] // The event's first value is the code.
  return { code, shown }
}
