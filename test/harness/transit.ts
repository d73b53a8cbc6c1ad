import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo } from 'node:net'

/** What becomes of a request: as `Fate` of the Postgres proxy; `hang` gives no answer. */
export type TransitFate = 'pass' | 'cut_before' | 'cut_after' | 'refuse' | 'hang'

/** What a request asks of the engine. */
export type TransitOperation = 'renew' | 'read' | 'rotate' | 'encrypt' | 'decrypt' | 'config' | 'trim'

interface TransitKey {
  readonly versions: Map<number, Buffer>
  latest: number
  minDecryption: number
  minEncryption: number
  minAvailable: number
  isExportable: boolean
}

type Body = Readonly<Record<string, unknown>>

class Refused extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Vault's Transit engine as far as Lethe uses it, with Vault's rules, statuses and words: in memory, for tests. */
export class TransitServer {
  static readonly token = 'hvs.test-token-which-no-message-may-quote'
  readonly url: string
  /** Asked of every request that carries the token. */
  decide: (operation: TransitOperation) => TransitFate = () => 'pass'
  /** Every body that came in. */
  readonly heard: string[] = []
  /** What was asked, in order. */
  readonly operations: TransitOperation[] = []
  readonly #server: Server
  readonly #keys = new Map<string, TransitKey>()

  private constructor(server: Server) {
    this.#server = server
    // A TCP server that listens has an address of that kind.
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('request', (request, response) => void this.#answer(request, response))
  }

  static async start(): Promise<TransitServer> {
    const server = createServer()
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    return new TransitServer(server)
  }

  /** Makes a key with one version. */
  addKey(name: string, { isExportable = false } = {}): void {
    const versions = new Map([[1, randomBytes(32)]])
    this.#keys.set(name, { versions, latest: 1, minDecryption: 1, minEncryption: 0, minAvailable: 0, isExportable })
  }

  /** The versions of a key that there are still. */
  versionsOf(name: string): number[] {
    return [...(this.#keys.get(name)?.versions.keys() ?? [])]
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise(resolve => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer) // Without an encoding a stream gives bytes.
    const text = Buffer.concat(chunks).toString()
    this.heard.push(text)
    const send = (status: number, body: object) => {
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
    }
    if (request.headers['x-vault-token'] !== TransitServer.token) return send(403, { errors: ['permission denied'] })
    const found = operationOf(request)
    if (!found) return send(404, { errors: [] })
    const fate = this.decide(found.operation)
    if (fate === 'hang') return
    if (fate === 'refuse') return send(500, { errors: ['internal error'] })
    if (fate === 'cut_before') return void request.socket.destroy()
    try {
      this.operations.push(found.operation)
      // Requests of the engine are objects.
      const data = this.#do(found.operation, found.key, text === '' ? {} : (JSON.parse(text) as Body))
      if (fate === 'cut_after') request.socket.destroy()
      else send(200, { data })
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      send(error.status, { errors: error.message === '' ? [] : [error.message] })
    }
  }

  #do(operation: TransitOperation, name: string, body: Body): object {
    if (operation === 'renew') return {}
    const key = this.#keys.get(name)
    if (!key) throw operation === 'read' ? new Refused(404, '') : new Refused(400, 'encryption key not found')
    if (operation === 'read') return { type: 'aes256-gcm96', latest_version: key.latest, exportable: key.isExportable, allow_plaintext_backup: false, derived: false, supports_encryption: true } // prettier-ignore
    if (operation === 'rotate') key.versions.set(++key.latest, randomBytes(32))
    if (operation === 'config') configure(key, body)
    if (operation === 'trim') trim(key, body)
    if (operation === 'encrypt') return { ciphertext: encrypt(key, String(body['plaintext'])) }
    if (operation === 'decrypt') return { plaintext: decrypt(key, String(body['ciphertext'])) }
    return {}
  }
}

function operationOf({ method, url = '' }: IncomingMessage): { operation: TransitOperation; key: string } | null {
  if (method === 'POST' && url === '/v1/auth/token/renew-self') return { operation: 'renew', key: '' }
  const [, verb, name = '', rest] = /^\/v1\/transit\/(keys|encrypt|decrypt)\/([\w.-]+)(?:\/(rotate|config|trim))?$/.exec(url) ?? [] // prettier-ignore
  if (verb === 'keys' && rest === undefined) return method === 'GET' ? { operation: 'read', key: name } : null
  if (method !== 'POST' || verb === undefined) return null
  // The pattern lets nothing else through.
  return { operation: (rest ?? verb) as TransitOperation, key: name }
}

function configure(key: TransitKey, body: Body): void {
  const decryption = Number(body['min_decryption_version'] ?? key.minDecryption)
  const encryption = Number(body['min_encryption_version'] ?? key.minEncryption)
  if (decryption > key.latest) throw new Refused(400, `cannot set min decryption version of ${decryption}, latest key version is ${key.latest}`) // prettier-ignore
  if (encryption > key.latest) throw new Refused(400, `cannot set min encryption version of ${encryption}, latest key version is ${key.latest}`) // prettier-ignore
  if (encryption !== 0 && encryption < decryption) throw new Refused(400, 'min encryption version should not be less than min decryption version') // prettier-ignore
  key.minDecryption = decryption
  key.minEncryption = encryption
}

function trim(key: TransitKey, body: Body): void {
  const version = Number(body['min_available_version'] ?? 0)
  if (version < key.minAvailable) throw new Refused(400, 'minimum available version cannot be decremented')
  if (key.minEncryption === 0) throw new Refused(400, 'minimum available version cannot be set when minimum encryption version is not set') // prettier-ignore
  if (version > key.minEncryption || version > key.minDecryption) throw new Refused(400, 'minimum available version cannot be greater than minimum encryption or decryption version') // prettier-ignore
  key.minAvailable = version
  for (const each of [...key.versions.keys()]) if (each < version) key.versions.delete(each)
}

function encrypt(key: TransitKey, plaintext: string): string {
  const secret = key.versions.get(key.latest)
  if (!secret) throw new Refused(400, 'no such key version')
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', secret, iv)
  const sealed = Buffer.concat([iv, cipher.update(Buffer.from(plaintext, 'base64')), cipher.final(), cipher.getAuthTag()]) // prettier-ignore
  return `vault:v${key.latest}:${sealed.toString('base64')}`
}

function decrypt(key: TransitKey, ciphertext: string): string {
  const [, version = '', text = ''] = /^vault:v(\d+):(.+)$/.exec(ciphertext) ?? []
  if (version === '') throw new Refused(400, 'invalid ciphertext: no prefix')
  if (Number(version) > key.latest) throw new Refused(400, 'invalid ciphertext: version is too new')
  const secret = key.versions.get(Number(version))
  if (Number(version) < key.minDecryption || !secret) {
    throw new Refused(400, 'ciphertext or signature version is disallowed by policy (too old)')
  }
  const bytes = Buffer.from(text, 'base64')
  const decipher = createDecipheriv('aes-256-gcm', secret, bytes.subarray(0, 12))
  decipher.setAuthTag(bytes.subarray(-16))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]).toString('base64')
  } catch {
    throw new Refused(400, 'invalid ciphertext: unable to decrypt')
  }
}
