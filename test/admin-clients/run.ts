/** Drives synadm through its commands against a server of this checkout. See README.md beside this file. */
import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { every, type Shape, shapeProblems } from './shapes.ts'

const synadm = process.env['SYNADM'] ?? 'synadm'
const secret = 'a secret of this run alone'

interface Command {
  readonly words: readonly string[]
  /** What its answer is to hold. */
  readonly shape?: Shape
  /** What else is to be true of it; a sentence if it is not. */
  readonly check?: (answer: Answer) => string | null | Promise<string | null>
  /** It is refused, with this in what it prints. */
  readonly refusal?: string
}

type Answer = Readonly<Record<string, unknown>>

class Run {
  readonly #url: string
  readonly #config: string
  #passed = 0
  readonly failed: string[] = []

  constructor(url: string, config: string) {
    this.#url = url
    this.#config = config
  }

  get summary(): string {
    return `${this.#passed} of ${this.#passed + this.failed.length} commands of synadm were answered as it expects`
  }

  async ask(method: string, path: string, token?: string, body?: unknown): Promise<Answer> {
    const answer = await fetch(`${this.#url}${path}`, {
      method,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const json = (await answer.json()) as Answer // The server answers JSON objects only.
    if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status} ${JSON.stringify(json)}`)
    return json
  }

  /** Runs a command and says how it went. Its answer, if it was one. */
  async do({ words, shape, check, refusal }: Command): Promise<Answer> {
    const { code, out } = await run(synadm, ['-c', this.#config, '--batch', '-o', 'minified', ...words])
    const problems: string[] = []
    const answer = jsonOf(out)
    if (refusal !== undefined) {
      if (!out.includes(refusal)) problems.push('it was not refused')
    } else if (code !== 0) problems.push(`it ended with ${code}`)
    // Some commands look first whether there is something, and say so.
    else if (/\bM_[A-Z]{3}/.test(out.trim().split('\n').at(-1) ?? '')) problems.push('it was refused')
    else if (shape !== undefined && answer === null) problems.push('there is no JSON in its output')
    else {
      if (shape !== undefined) problems.push(...shapeProblems(answer, shape))
      const problem = problems.length === 0 ? await check?.(answer ?? {}) : null
      if (problem !== null && problem !== undefined) problems.push(problem)
    }
    const name = `synadm ${words.join(' ')}`
    process.stdout.write(`${problems.length === 0 ? 'ok  ' : 'FAIL'} ${name}\n`)
    if (problems.length === 0) this.#passed += 1
    else {
      this.failed.push(name)
      process.stdout.write(`     ${problems.join('; ')}\n     ${out.trim().slice(-900)}\n`)
    }
    return answer ?? {}
  }
}

async function run(program: string, words: readonly string[]): Promise<{ code: number; out: string }> {
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  child.stdout.on('data', chunk => (out += String(chunk)))
  child.stderr.on('data', chunk => (out += String(chunk)))
  const [code] = (await once(child, 'close')) as [number] // The event's first value is the code.
  return { code, out }
}

/** The last line that is a JSON object. */
function jsonOf(out: string): Answer | null {
  for (const line of out.trim().split('\n').reverse()) {
    try {
      const value: unknown = JSON.parse(line)
      if (typeof value === 'object' && value !== null) return value as Answer // An object or a list of JSON.
    } catch {
      // Not JSON: the line before it.
    }
  }
  return null
}

/** Starts a server with a Postgres of its own on a free port. */
async function startLethe(dataDir: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const program = join(import.meta.dirname, '../../src/main.ts')
  const child = spawn(process.execPath, [program, 'serve'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      LETHE_SERVER_NAME: 'lethe.test',
      LETHE_DATA_DIR: dataDir,
      LETHE_LISTEN__PORT: '0',
      LETHE_METRICS__ENABLED: 'false',
      LETHE_REGISTRATION__SHARED_SECRET: secret,
      LETHE_RATE_LIMITS__ENABLED: 'false',
      LETHE_ENCRYPTION__DEFAULT_IN_PRIVATE_ROOMS: 'false',
      LETHE_ADMIN__ON_PUBLIC_LISTENER: 'true',
      LETHE_ADMIN__CONTENT_ACCESS: 'true',
    },
  })
  const exited = once(child, 'exit')
  let text = ''
  const url = await new Promise<string>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      const found = /listening on (http:\/\/\S+?),/.exec(text)?.[1]
      if (found !== undefined) resolve(found)
    })
    void exited.then(() => reject(new Error(`the server ended: ${text}`)))
  })
  return {
    url,
    stop: async () => {
      child.kill('SIGTERM')
      await exited
    },
  }
}

/** Makes an account through the interface for scripts; returns its access token. */
async function makeAccount(run: Run, username: string, isAdmin: boolean): Promise<string> {
  const password = `the password of ${username}`
  const { nonce } = await run.ask('GET', '/_synapse/admin/v1/register')
  const signed = [nonce, username, password, isAdmin ? 'admin' : 'notadmin'].join('\0')
  const mac = createHmac('sha1', secret).update(signed).digest('hex')
  const body = { nonce, username, password, admin: isAdmin, mac }
  return String((await run.ask('POST', '/_synapse/admin/v1/register', undefined, body))['access_token'])
}

const encode = encodeURIComponent

/** Everything of synadm that is about users, rooms, media, tokens and history, in an order that tells a story. */
async function story(run: Run, admin: string, alice: string): Promise<void> {
  const client = '/_matrix/client/v3'
  const makeRoom = async (name: string, alias: string) =>
    String((await run.ask('POST', `${client}/createRoom`, alice, { name, room_alias_name: alias, preset: 'public_chat' }))['room_id']) // prettier-ignore
  let sent = 0
  const say = async (room: string, content: object) =>
    String((await run.ask('PUT', `${client}/rooms/${encode(room)}/send/m.room.message/${++sent}`, alice, content))['event_id']) // prettier-ignore
  const upload = async () => {
    const answer = await run.ask('POST', '/_matrix/media/v3/upload?filename=a.txt', alice, 'some bytes')
    return String(answer['content_uri'])
  }
  const [room, doomed, other] = [await makeRoom('Tea', 'tea'), await makeRoom('Doomed', 'doomed'), await makeRoom('Other', 'other')] // prettier-ignore
  const first = await say(room, { msgtype: 'm.text', body: 'hello' })
  const [mxc = '', second = ''] = [await upload(), await upload()]
  await say(room, { msgtype: 'm.file', body: 'a.txt', url: mxc })
  await say(room, { msgtype: 'm.file', body: 'a.txt', url: second })
  const mediaId = mxc.split('/').at(-1) ?? ''
  const userId = '@alice:lethe.test'

  await run.do({ words: ['version'], shape: { server_version: 'string' } })
  // Users
  const users: Shape = { users: [{ name: 'string', admin: 'boolean', deactivated: 'boolean' }], total: 'number' }
  await run.do({ words: ['user', 'list'], shape: users, check: answer => (answer['total'] === 2 ? null : 'there are two') }) // prettier-ignore
  await run.do({ words: ['user', 'list', '--admins'], shape: users, check: answer => (answer['total'] === 1 ? null : 'there is one') }) // prettier-ignore
  await run.do({ words: ['user', 'search', 'ali'], shape: users })
  await run.do({ words: ['user', 'details', 'alice'], shape: { name: 'string', threepids: [{}], creation_ts: 'number' } }) // prettier-ignore
  await run.do({ words: ['user', 'modify', 'made', '-P', 'a long enough password', '-n', 'Made'], shape: { name: 'string', displayname: 'string' } }) // prettier-ignore
  await run.do({ words: ['user', 'modify', 'made', '--lock'], shape: { locked: 'boolean' }, check: answer => (answer['locked'] === true ? null : 'it is not locked') }) // prettier-ignore
  await run.do({ words: ['user', 'password', 'made', '-p', 'another long password'], shape: {} })
  await run.do({ words: ['user', 'whois', 'alice'], shape: { user_id: 'string', devices: {} } })
  await run.do({ words: ['user', 'membership', '--ids', 'alice'], shape: { joined_rooms: ['string'], total: 'number' } }) // prettier-ignore
  await run.do({ words: ['user', 'prune-devices', '--list-only', '--min-surviving', '0', '--min-days', '0', 'alice'] })
  await run.do({ words: ['user', 'suspend', 'made'], shape: { [every]: 'boolean' } })
  await run.do({ words: ['user', 'suspend', '--unsuspend', 'made'], shape: { [every]: 'boolean' } })
  await run.do({ words: ['user', 'login', 'alice', '--expire-days', '1'], shape: { access_token: 'string' } })
  await run.do({ words: ['user', 'media', 'alice'], shape: { media: [{ media_id: 'string' }], total: 'number' } })
  await run.do({ words: ['user', 'shadow-ban', 'alice'], refusal: 'M_UNRECOGNIZED' })
  await run.do({ words: ['user', '3pid', 'a@example.org'], refusal: 'M_UNRECOGNIZED' })
  // Rooms
  await run.do({ words: ['room', 'list'], shape: { rooms: [{ room_id: 'string', name: 'string?' }], total_rooms: 'number' }, check: answer => (answer['total_rooms'] === 3 ? null : 'there are three') }) // prettier-ignore
  await run.do({ words: ['room', 'search', 'Tea'], shape: { rooms: [{ room_id: 'string' }], total_rooms: 'number' } })
  await run.do({ words: ['room', 'details', room], shape: { room_id: 'string', joined_local_devices: 'number' } })
  await run.do({ words: ['room', 'members', room], shape: { members: ['string'], total: 'number' } })
  await run.do({ words: ['room', 'state', room], shape: { state: [{ type: 'string', sender: 'string' }] } })
  await run.do({ words: ['room', 'power-levels', '-i', room] })
  await run.do({ words: ['room', 'resolve', '#tea:lethe.test'] })
  await run.do({ words: ['user', 'modify', 'made', '--unlock'], shape: { locked: 'boolean' } })
  await run.do({ words: ['room', 'join', room, '@made:lethe.test'], shape: { room_id: 'string' } })
  // Reports have no command of their own.
  const made = await run.ask('POST', `/_synapse/admin/v1/users/${encode('@made:lethe.test')}/login`, admin, {})
  const report = `${client}/rooms/${encode(room)}/report/${encode(first)}`
  await run.ask('POST', report, String(made['access_token']), { reason: 'rude' })
  await run.do({ words: ['raw', 'v1/event_reports'], shape: { event_reports: [{ reason: 'string' }], total: 'number' }, check: answer => (answer['total'] === 1 ? null : 'there is one') }) // prettier-ignore
  await run.do({ words: ['room', 'make-admin', room, '-u', '@made:lethe.test'], shape: {} })
  await run.do({ words: ['room', 'block', '--block', other], shape: { block: 'boolean' } })
  await run.do({ words: ['room', 'block-status', other], shape: { block: 'boolean' }, check: answer => (answer['block'] === true ? null : 'it is not blocked') }) // prettier-ignore
  await run.do({ words: ['room', 'block', '--unblock', other], shape: { block: 'boolean' } })
  // Media
  await run.do({ words: ['media', 'list', '-u', 'alice'], shape: { media: [{ media_id: 'string' }], total: 'number' } })
  await run.do({ words: ['media', 'list', '-r', room], shape: { local: ['string'], remote: ['string'] } })
  await run.do({ words: ['media', 'quarantine', '-i', mediaId, '-s', 'lethe.test'], shape: {} })
  await run.do({ words: ['media', 'unquarantine', '-i', mediaId, '-s', 'lethe.test'], shape: {} })
  await run.do({ words: ['media', 'protect', '--', mediaId], shape: {} })
  await run.do({ words: ['media', 'quarantine', '-r', room], shape: { num_quarantined: 'number' }, check: answer => (answer['num_quarantined'] === 1 ? null : 'one is protected') }) // prettier-ignore
  await run.do({ words: ['media', 'quarantine', '-u', 'alice'], shape: { num_quarantined: 'number' } })
  await run.do({ words: ['media', 'delete', '-i', mediaId], shape: { deleted_media: ['string'], total: 'number' } }) // prettier-ignore
  await run.do({ words: ['media', 'purge', '-d', '1'], shape: { deleted: 'number' } })
  // Tokens
  const token: Shape = { token: 'string', uses_allowed: 'number?', pending: 'number', completed: 'number', expiry_time: 'number?' } // prettier-ignore
  await run.do({ words: ['regtok', 'new', '-n', 'tea', '-u', '3'], shape: token })
  await run.do({ words: ['regtok', 'list', '--timestamp'] })
  await run.do({ words: ['regtok', 'details', '--timestamp', 'tea'], shape: token })
  await run.do({ words: ['regtok', 'update', 'tea', '-u', '5'], shape: token })
  await run.do({ words: ['regtok', 'delete', 'tea'] })
  // Forgetting
  const purged = await run.do({ words: ['history', 'purge', room, '-i', first, '--delete-local'], shape: { purge_id: 'string' } }) // prettier-ignore
  await ended(run, ['history', 'purge-status', String(purged['purge_id'])])
  const redacted = await run.do({ words: ['user', 'redact', 'alice'], shape: { redact_id: 'string' } })
  await ended(run, ['user', 'redact-status', String(redacted['redact_id'])])
  const deleted = await run.do({ words: ['room', 'delete', doomed], shape: { delete_id: 'string' } })
  await ended(run, ['room', 'delete-status', '-d', String(deleted['delete_id'])])
  await run.do({
    words: ['room', 'delete', '--v1', other],
    shape: { kicked_users: ['string'], new_room_id: 'string?' },
  })
  await run.do({ words: ['room', 'details', other], refusal: 'M_NOT_FOUND' })
  // It asks for the aliases of every room of hers, which are told to members.
  await run.do({ words: ['room', 'join', room, '@root:lethe.test'], shape: { room_id: 'string' } })
  await run.do({ words: ['user', 'deactivate', '-e', 'alice'], shape: { id_server_unbind_result: 'string' } })
  await run.do({ words: ['user', 'details', userId], check: answer => (answer['erased'] === true ? null : 'it is not erased') }) // prettier-ignore
}

async function ended(run: Run, words: readonly string[]): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    let status = ''
    const probe: Command = { words, shape: { status: 'string' }, check: answer => {
        status = String(answer['status'])
        return null
      } } // prettier-ignore
    await run.do(probe)
    if (status === 'complete' || status === 'failed' || status === '') {
      if (status !== 'complete') run.failed.push(`${words.join(' ')}: ${status}`)
      return
    }
    await sleep(200)
  }
  run.failed.push(`${words.join(' ')} came to no end`)
}

async function main(): Promise<number> {
  const probe = await run(synadm, ['--version']).catch(() => null)
  if (probe?.code !== 0) {
    process.stderr.write(
      'synadm is not there: install it (README.md beside this program), or say where it is in SYNADM\n',
    )
    return 2
  }
  const folder = await mkdtemp(join(tmpdir(), 'lethe-admin-clients-'))
  const lethe = await startLethe(join(folder, 'data'))
  try {
    const config = join(folder, 'synadm.yaml')
    const story1 = new Run(lethe.url, config)
    const admin = await makeAccount(story1, 'root', true)
    const alice = await makeAccount(story1, 'alice', false)
    // JSON is YAML too.
    const settings = { user: 'root', token: admin, base_url: lethe.url, homeserver: 'lethe.test', format: 'minified' }
    await writeFile(config, JSON.stringify({ ...settings, admin_path: '/_synapse/admin', matrix_path: '/_matrix', timeout: 30, protocol: 'http', server_discovery: 'well-known', ssl_verify: true })) // prettier-ignore
    await story(story1, admin, alice)
    process.stdout.write(`${probe.out.trim()}: ${story1.summary}\n`)
    return story1.failed.length === 0 ? 0 : 1
  } finally {
    await lethe.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

process.exitCode = await main()
