import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseSigningKey } from '../../src/signing-key.ts'

const main = join(dirname(fileURLToPath(import.meta.url)), '../../src/main.ts')

/** Every command is a process of its own, and on a machine with much else to do each takes seconds. */
const patienceMs = 120_000

interface Made {
  readonly metadata: { readonly name: string }
  readonly immutable: boolean
  readonly stringData: Readonly<Record<string, string>>
}

let folder: string
let cluster: Server
/** The Secrets of the cluster, by name. */
let secrets: Map<string, Made>
let requests: string[]
/** What the cluster answers in place of making anything. */
let refusal: number | null

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lethe-test-cluster-'))
  secrets = new Map()
  requests = []
  refusal = null
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'ca.crt')]
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=cluster',
    '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate,
  ], { stdio: 'ignore' }) // prettier-ignore
  await writeFile(join(folder, 'token'), 'canary-token\n')
  await writeFile(join(folder, 'namespace'), 'matrix')
  cluster = createServer({ key: await readFile(key), cert: await readFile(certificate) }, (request, response) => {
    let text = ''
    request.on('data', chunk => (text += String(chunk)))
    request.on('end', () => {
      requests.push(`${request.method} ${request.url} ${request.headers.authorization}`)
      const secret = JSON.parse(text) as Made // Sent by the command under test.
      const isThere = secrets.has(secret.metadata.name)
      if (refusal === null && !isThere) secrets.set(secret.metadata.name, secret)
      response.writeHead(refusal ?? (isThere ? 409 : 201)).end('{"kind":"Status","reason":"Forbidden"}')
    })
  })
  cluster.listen(0, '127.0.0.1')
  await once(cluster, 'listening')
})

afterEach(async () => {
  cluster.closeAllConnections()
  cluster.close()
  await rm(folder, { recursive: true, force: true })
})

async function createSecrets(...parameters: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const { port } = cluster.address() as AddressInfo // It listens on a port.
  const child = spawn(process.execPath, [main, 'kubernetes', 'create-secrets', '--service-account', folder, ...parameters], {
    cwd: folder,
    env: { PATH: process.env['PATH'], KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(port) },
  }) // prettier-ignore
  let [out, err] = ['', '']
  child.stdout.on('data', chunk => (out += String(chunk)))
  child.stderr.on('data', chunk => (err += String(chunk)))
  const [code] = (await once(child, 'close')) as [number] // The event's first value is the code.
  return { code, out, err }
}

describe('lethe kubernetes create-secrets', () => {
  it(
    'makes a signing key and a password that nothing can replace, and does not show them',
    async () => {
      const { code, out, err } = await createSecrets('--signing-key', 'lethe-key', '--password', 'lethe-db')
      expect([code, out, err]).toEqual([0, 'Made lethe-key.\nMade lethe-db.\n', ''])
      expect(requests).toEqual(Array(2).fill('POST /api/v1/namespaces/matrix/secrets Bearer canary-token'))
      const [key, database] = [secrets.get('lethe-key'), secrets.get('lethe-db')]
      expect([key?.immutable, database?.immutable]).toEqual([true, true])
      expect(parseSigningKey(key?.stringData['signing.key'] ?? '', 'the Secret').keyId).toMatch(/^ed25519:a_\w{6}$/)
      expect(database?.stringData['password']).toMatch(/^[\w-]{32}$/)
    },
    patienceMs,
  )

  it(
    'leaves what is there as it is',
    async () => {
      await createSecrets('--signing-key', 'lethe-key')
      const before = secrets.get('lethe-key')
      expect(await createSecrets('--signing-key', 'lethe-key')).toEqual({ code: 0, out: 'lethe-key is there already.\n', err: '' }) // prettier-ignore
      expect(secrets.get('lethe-key')).toBe(before)
    },
    patienceMs,
  )

  it(
    'fails when the cluster refuses, or when there is none',
    async () => {
      refusal = 403
      expect(await createSecrets('--password', 'lethe-db')).toMatchObject({ code: 1, err: 'The cluster answered 403 (Forbidden) when it was to make the Secret lethe-db.\n' }) // prettier-ignore
      await rm(join(folder, 'token'))
      expect((await createSecrets('--password', 'lethe-db')).code).toBe(1)
      expect((await createSecrets()).code).toBe(2)
      expect(secrets.size).toBe(0)
    },
    patienceMs,
  )

  it(
    'tells nothing to a cluster whose certificate it does not know',
    async () => {
      const other = join(folder, 'other.pem')
      execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=other', '-keyout', other, '-out', join(folder, 'ca.crt')], { stdio: 'ignore' }) // prettier-ignore
      const { code, err } = await createSecrets('--password', 'lethe-db')
      expect([code, err]).toEqual([1, expect.stringContaining('The cluster cannot be reached')])
      expect(requests).toEqual([])
    },
    patienceMs,
  )
})
