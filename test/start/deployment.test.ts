import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { request } from 'node:https'
import { get } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { timeoutLimitMs } from '../../src/sync/request.ts'
import { repositoryFolder } from '../house/sources.ts'
import { path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

const guide = readFileSync(join(repositoryFolder, 'docs/deployment.md'), 'utf8')

/** The block of the guide in this language that has these words in it. */
function block(language: string, words: string): string {
  const blocks = [...guide.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, name, text]) => [name, text] as const)
  const found = blocks.filter(([name, text]) => name === language && text?.includes(words))
  if (found.length !== 1) throw new Error(`${found.length} blocks of ${language} with ${words}`)
  return found[0]?.[1] ?? ''
}

/** Replaces what must be there. */
function replaced(text: string, ...pairs: readonly (readonly [string, string])[]): string {
  return pairs.reduce((sofar, [from, to]) => {
    if (!sofar.includes(from)) throw new Error(`the guide does not say ${from}`)
    return sofar.replaceAll(from, to)
  }, text)
}

interface Place {
  readonly folder: string
  /** Of the certificate and its key. */
  readonly certificate: string
  readonly key: string
  /** Where the proxy listens for the server, and for the bare domain. */
  readonly port: number
  readonly domainPort: number
  /** `host:port` of Lethe. */
  readonly upstream: string
}

const nginx = {
  name: 'nginx',
  program: '/usr/sbin/nginx',
  async start({ folder, certificate, key, port, domainPort, upstream }: Place): Promise<ChildProcess> {
    const server = replaced(
      block('nginx', 'server_name chat.example.org'),
      ['listen 443 ssl http2;', `listen 127.0.0.1:${port} ssl http2;`],
      ['listen [::]:443 ssl http2;', ''],
      ['/etc/letsencrypt/live/chat.example.org/fullchain.pem', certificate],
      ['/etc/letsencrypt/live/chat.example.org/privkey.pem', key],
      ['/var/log/nginx/lethe.log', join(folder, 'error.log')],
      ['127.0.0.1:8008', upstream],
    )
    const wellKnown = replaced(block('nginx', 'location /.well-known/matrix/'), ['127.0.0.1:8008', upstream])
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    const file = join(folder, 'nginx.conf')
    await writeFile(
      file,
      `daemon off; worker_processes 1; pid ${join(folder, 'nginx.pid')}; error_log stderr crit;
      ${process.getuid?.() === 0 ? 'user root;' : ''}
      events {}
      http {
        access_log ${join(folder, 'access.log')};
        ${temporary.map(name => `${name}_temp_path ${join(folder, 'temporary', name)};`).join('\n')}
        ${server}
        server { listen 127.0.0.1:${domainPort}; access_log off; ${wellKnown} }
      }`,
    )
    await promisify(execFile)('mkdir', [join(folder, 'temporary')])
    return spawn(this.program, ['-c', file, '-p', folder, '-e', join(folder, 'start.log')], { stdio: 'ignore' })
  },
}

const caddy = {
  name: 'Caddy',
  program: '/usr/bin/caddy',
  async start({ folder, certificate, key, port, domainPort, upstream }: Place): Promise<ChildProcess> {
    const server = replaced(
      block('caddyfile', 'chat.example.org {'),
      ['chat.example.org {', `https://127.0.0.1:${port} {\n\tbind 127.0.0.1\n\ttls ${certificate} ${key}`],
      ['127.0.0.1:8008', upstream],
    )
    const domain = replaced(
      block('caddyfile', 'reverse_proxy /.well-known'),
      ['example.org {', `http://127.0.0.1:${domainPort} {\n\tbind 127.0.0.1`],
      ['127.0.0.1:8008', upstream],
    )
    const file = join(folder, 'Caddyfile')
    await writeFile(file, `{\n\tadmin off\n\tauto_https disable_redirects\n}\n${server}\n${domain}`)
    return spawn(this.program, ['run', '--config', file, '--adapter', 'caddyfile'], {
      stdio: 'ignore',
      env: { PATH: process.env['PATH'], HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    })
  },
}

async function freePorts(): Promise<[number, number]> {
  const probes = [createServer().listen(0, '127.0.0.1'), createServer().listen(0, '127.0.0.1')]
  await Promise.all(probes.map(probe => once(probe, 'listening')))
  const ports = probes.map(probe => (probe.address() as AddressInfo).port) // They listen on a host and a port.
  await Promise.all(probes.map(probe => new Promise(resolve => probe.close(resolve))))
  return [ports[0] ?? 0, ports[1] ?? 0]
}

function isInstalled(program: string): boolean {
  try {
    accessSync(program, constants.X_OK)
    return true
  } catch {
    // Then the tests' name says so.
    return false
  }
}

const uploadLimitBytes = 10 * 1024 * 1024

for (const proxy of [nginx, caddy]) {
  const isThere = isInstalled(proxy.program) && isInstalled('/usr/bin/openssl')
  const suite = isThere ? describe : describe.skip
  suite(
    `a server behind ${proxy.name} as the guide sets it up${isThere ? '' : ' (skipped: it is not installed)'}`,
    () => {
      let server: TestServer
      let folder: string
      let certificate: Buffer
      let child: ChildProcess
      let [port, domainPort] = [0, 0]
      let alice: Person
      let room: string

      interface Asked {
        readonly body?: string | Buffer
        readonly headers?: Readonly<Record<string, string>>
        /** Which of the machine's own addresses the client has. */
        readonly from?: string
      }
      interface Answer {
        readonly status: number
        readonly headers: Readonly<Record<string, string | string[] | undefined>>
        readonly body: Record<string, unknown>
      }

      function ask(
        method: string,
        target: string,
        { body, headers = {}, from = '127.0.0.1' }: Asked = {},
      ): Promise<Answer> {
        const token = { authorization: `Bearer ${alice.accessToken}` }
        const options = { host: '127.0.0.1', port, method, path: target, localAddress: from, ca: certificate, headers: { ...token, ...headers } } // prettier-ignore
        return new Promise((resolve, reject) => {
          const asking = request(options, answer => {
            let text = ''
            answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
            answer.on('end', () => {
              const isJson = answer.headers['content-type'] === 'application/json'
              const parsed = isJson ? (JSON.parse(text) as Record<string, unknown>) : {} // Every answer of the API is an object.
              resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: parsed })
            })
          })
          asking.on('error', reject)
          asking.end(body)
        })
      }

      beforeAll(async () => {
        server = await startTestServer({
          settings: {
            public_base_url: 'https://chat.example.org',
            trusted_proxies: ['127.0.0.1'],
            media: { max_upload_bytes: uploadLimitBytes },
            rate_limits: { enabled: true, anonymous: { burst: 3 } },
          },
        })
        alice = await register(server, 'alice')
        room = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'tea/coffee' })
        folder = await mkdtemp(join(tmpdir(), 'lethe-test-proxy-'))
        const files = { key: join(folder, 'key.pem'), certificate: join(folder, 'certificate.pem') }
        await promisify(execFile)('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', files.key, '-out', files.certificate]) // prettier-ignore
        certificate = await readFile(files.certificate)
        ;[port, domainPort] = await freePorts()
        child = await proxy.start({ folder, ...files, port, domainPort, upstream: new URL(server.url).host })
        const isUp = () => ask('GET', '/_matrix/client/versions').then(({ status }) => status === 200, () => false) // prettier-ignore
        for (let tries = 0; !(await isUp()) && tries < 200; tries++) await sleep(50)
      }, 60_000)
      afterAll(async () => {
        const ended = child && once(child, 'exit')
        child?.kill('SIGTERM')
        await ended
        await server?.close()
        await rm(folder, { recursive: true, force: true })
      })

      it('is asked for what the client asked for, with slashes that are parts of names', async () => {
        const found = await ask('GET', '/_matrix/client/v3/directory/room/%23tea%2Fcoffee:lethe.test')
        expect([found.status, found.body['room_id']]).toEqual([200, room])
        const target = path`/_matrix/client/v3/rooms/${room}/state/org.example/${'a/b//%2F'}`
        expect((await ask('PUT', target, { body: '{"in":"full"}' })).status).toBe(200)
        expect(await alice.state(room, 'org.example', 'a/b//%2F')).toEqual({ in: 'full' })
        const named = await ask('PUT', path`/_matrix/client/v3/rooms/${room}/state/m.room.name/`, {
          body: '{"name":"tea"}',
        })
        expect(named.status).toBe(200)
      })

      it('takes uploads, and says itself what is too large', async () => {
        const upload = (bytes: number) => ask('POST', '/_matrix/media/v3/upload', { body: Buffer.alloc(bytes, 'x'), headers: { 'content-type': 'text/plain' } }) // prettier-ignore
        expect(await upload(uploadLimitBytes)).toMatchObject({
          status: 200,
          body: { content_uri: expect.stringMatching(/^mxc:/) },
        })
        expect(await upload(uploadLimitBytes + 1)).toMatchObject({ status: 413, body: { errcode: 'M_TOO_LARGE' } })
      })

      it('lets clients wait, and tells them at once', async () => {
        const { next_batch: since } = await alice.sync()
        const waiting = ask('GET', `/_matrix/client/v3/sync?timeout=30000&since=${String(since)}`)
        await sleep(300)
        await alice.send(room, 'the kettle boils')
        expect(JSON.stringify((await waiting).body)).toContain('the kettle boils')
      })

      it('lets the browsers of other origins in, once', async () => {
        const preflight = await ask('OPTIONS', '/_matrix/client/v3/sync', {
          headers: { origin: 'https://app.example.org' },
        })
        expect([preflight.status, preflight.headers['access-control-allow-origin']]).toEqual([204, '*'])
      })

      it('limits each client by its own address, whatever it says', async () => {
        const look = async (from: string, forged: string) =>
          (await ask('GET', '/', { from, headers: { 'x-forwarded-for': forged } })).status
        for (let number = 1; number <= 3; number++) expect(await look('127.0.0.2', `192.0.2.${number}`)).toBe(200)
        expect(await look('127.0.0.2', '192.0.2.4')).toBe(429)
        expect(await look('127.0.0.3', '192.0.2.4')).toBe(200)
      })

      it('is found from the bare domain', async () => {
        const text = await new Promise<string>((resolve, reject) => {
          get({ host: '127.0.0.1', port: domainPort, path: '/.well-known/matrix/client' }, answer => {
            let sofar = ''
            answer.setEncoding('utf8').on('data', (chunk: string) => (sofar += chunk))
            answer.on('end', () => resolve(sofar))
          }).on('error', reject)
        })
        expect(JSON.parse(text)).toEqual({ 'm.homeserver': { base_url: 'https://chat.example.org' } })
      })

      it('leaves no trace of its clients on the proxy’s disk', async () => {
        const written = (await readdir(folder, { recursive: true, withFileTypes: true })).filter(entry =>
          entry.isFile(),
        )
        const texts = await Promise.all(
          written.map(({ parentPath, name }) => readFile(join(parentPath, name), 'latin1')),
        )
        expect(texts.filter(text => /127\.0\.0\.[23]|192\.0\.2|x{100}/.test(text))).toEqual([])
      })
    },
  )
}

describe('the configuration of nginx in the guide', () => {
  it('waits longer than a client may', () => {
    const [, seconds] = /proxy_read_timeout (\d+)s;/.exec(block('nginx', 'server_name chat.example.org')) ?? []
    expect(Number(seconds) * 1000).toBeGreaterThan(timeoutLimitMs)
  })
})

const hasSystemd = isInstalled('/usr/bin/systemd-analyze')
const itWithSystemd = hasSystemd ? it : it.skip

describe('the unit in the guide', () => {
  itWithSystemd(`is one that systemd takes${hasSystemd ? '' : ' (skipped: it is not installed)'}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lethe-test-unit-'))
    try {
      const unit = replaced(block('ini', '[Unit]'), ['/opt/lethe/node_modules/.bin/node', process.execPath])
      const verify = async (text: string) => {
        await writeFile(join(folder, 'lethe.service'), text)
        const analyze = promisify(execFile)('/usr/bin/systemd-analyze', ['verify', join(folder, 'lethe.service')])
        // What it does not know it only warns of.
        return analyze.then(({ stderr }) => stderr, (error: Error) => error.message) // prettier-ignore
      }
      expect(await verify(unit)).toBe('')
      expect(await verify(unit.replace('PrivateTmp=', 'PrivateTemp='))).toContain('PrivateTemp')
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
