import { readFile } from 'node:fs/promises'
import { request as plainRequest } from 'node:http'
import { request as secureRequest } from 'node:https'
import { systemClock } from '../../clock.ts'
import { type Config } from '../../config.ts'
import { codeOf } from '../../errors.ts'
import { KeyringError } from './keyring.ts'

/** Where a Vault or an OpenBao is, and which of its keys is ours. */
export type VaultSettings = NonNullable<Config['sealing']['keyring']['vault']>

/** The longest answer that is read: all that is asked for are a few hundred bytes. */
const answerLimitBytes = 1024 * 1024

/** One key of the Transit engine, in versions. Every method throws `KeyringError`; its message quotes no secret. */
export interface Transit {
  /** Encrypts 32 bytes under the newest version. The text names the version: `vault:v7:…`. */
  encrypt(plaintext: Buffer): Promise<string>
  /** `null` when the version that it was encrypted under has been given up. */
  decrypt(ciphertext: string): Promise<Buffer | null>
  /** Adds a version, which is the newest from then on. Throws unless the key is one whose old versions can be destroyed. */
  rotate(): Promise<void>
  /** Destroys all versions before this one, for good. May be repeated. */
  destroyBefore(version: number): Promise<void>
}

interface Answer {
  readonly status: number
  readonly data: Readonly<Record<string, unknown>>
  /** What the server says is wrong: words of its own, without what it was sent. */
  readonly errors: readonly string[]
}

/** The version that a ciphertext of the Transit engine names; `null` for a text that is none. */
export function versionOf(ciphertext: string): number | null {
  const version = Number(/^vault:v([1-9]\d{0,8}):/.exec(ciphertext)?.[1])
  return Number.isSafeInteger(version) ? version : null
}

/** Speaks with the Transit engine over HTTP. https://developer.hashicorp.com/vault/api-docs/secret/transit */
export function connectTransit(settings: VaultSettings): Transit {
  const place = `The key "${settings.key}" in Vault`

  /** One request. Throws when there is no answer; a refusal is an answer. */
  const ask = async (method: 'GET' | 'POST', path: string, body: object | null): Promise<Answer> => {
    try {
      return await exchange(settings, method, path, body)
    } catch (error) {
      if (error instanceof KeyringError) throw error
      throw new KeyringError(`Vault at ${settings.url} does not answer (${codeOf(error) ?? 'broken off'}).`)
    }
  }
  /** One request that has to succeed. */
  const demand = async (method: 'GET' | 'POST', path: string, body: object | null): Promise<Answer> => {
    const answer = await ask(method, path, body)
    if (answer.status < 300) return answer
    throw new KeyringError(`${place}: ${refusal(answer)}`)
  }
  const key = `${settings.mount}/keys/${settings.key}`

  return {
    async encrypt(plaintext) {
      const { data } = await demand('POST', `${settings.mount}/encrypt/${settings.key}`, { plaintext: plaintext.toString('base64') }) // prettier-ignore
      const ciphertext = data['ciphertext']
      if (typeof ciphertext === 'string' && versionOf(ciphertext) !== null) return ciphertext
      throw new KeyringError(`${place}: the answer is not one of Transit's.`)
    },
    async decrypt(ciphertext) {
      const answer = await ask('POST', `${settings.mount}/decrypt/${settings.key}`, { ciphertext })
      if (answer.status === 400 && answer.errors.some(each => /too old|version.*(not exist|not found)/i.test(each))) return null // prettier-ignore
      const plaintext = answer.data['plaintext']
      if (answer.status < 300 && typeof plaintext === 'string') return Buffer.from(plaintext, 'base64')
      throw new KeyringError(`${place}: ${refusal(answer)}`)
    },
    async rotate() {
      // A token that can be renewed lives on; whether this one still opens anything is for the next request to show.
      if (settings.token !== null) await ask('POST', 'auth/token/renew-self', {})
      const { data } = await demand('GET', key, null)
      if (data['exportable'] === true || data['allow_plaintext_backup'] === true) {
        throw new KeyringError(`${place} can be exported, so none of its versions could be destroyed for good: make one that is not exportable and allows no plaintext backup.`) // prettier-ignore
      }
      if (data['supports_encryption'] === false || data['derived'] === true) {
        throw new KeyringError(`${place} is of another kind: it must be of a type that encrypts (aes256-gcm96), and not derived.`) // prettier-ignore
      }
      await demand('POST', `${key}/rotate`, {})
    },
    async destroyBefore(version) {
      // The engine trims only what neither decrypts nor encrypts any more.
      await demand('POST', `${key}/config`, { min_decryption_version: version, min_encryption_version: version })
      await demand('POST', `${key}/trim`, { min_available_version: version })
    },
  }
}

function refusal({ status, errors }: Answer): string {
  if (status === 403) return 'the token is refused; it has lapsed, or its policy does not allow this (status 403).'
  if (status === 404) return 'there is no such key, or no Transit engine under this mount (status 404).'
  if (status === 503) return 'Vault is sealed or not ready (status 503).'
  const [said] = errors
  return said === undefined ? `the request was refused (status ${status}).` : `${said} (status ${status}).`
}

/** Sends one request and reads its answer, all within the time that the settings give it. */
async function exchange(settings: VaultSettings, method: string, path: string, body: object | null): Promise<Answer> {
  const url = new URL(`${settings.url}/v1/${path}`)
  const isSecure = url.protocol === 'https:'
  const ca = isSecure && settings.caFile !== null ? await readCertificates(settings.caFile) : null
  const text = body === null ? '' : JSON.stringify(body)
  const headers = {
    'X-Vault-Request': 'true',
    ...(settings.token === null ? {} : { 'X-Vault-Token': settings.token }),
    ...(settings.namespace === null ? {} : { 'X-Vault-Namespace': settings.namespace }),
    ...(body === null ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }),
  }
  return new Promise((resolve, reject) => {
    // A connection of its own, so that none is found broken that was kept since the hour before.
    const options = { method, headers, agent: false, ...(ca === null ? {} : { ca }) }
    const request = isSecure ? secureRequest(url, options) : plainRequest(url, options)
    const limit = systemClock.setTimeout(() => request.destroy(late()), settings.timeout)
    request.on('error', reject)
    request.on('close', () => limit.clear())
    request.on('response', response => {
      const chunks: Buffer[] = []
      let sizeBytes = 0
      response.on('data', (chunk: Buffer) => {
        sizeBytes += chunk.length
        if (sizeBytes > answerLimitBytes) request.destroy(new Error('The answer is too long'))
        else chunks.push(chunk)
      })
      response.on('error', reject)
      response.on('aborted', () => reject(new Error('The answer broke off')))
      response.on('end', () => resolve(answerOf(response.statusCode ?? 0, Buffer.concat(chunks))))
    })
    request.end(text)
  })
}

function late(): Error {
  return Object.assign(new Error('No answer in time'), { code: 'ETIMEDOUT' })
}

async function readCertificates(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new KeyringError(`The certificates for Vault, ${path}, cannot be read (${codeOf(error) ?? 'unknown error'}).`)
  }
}

function answerOf(status: number, bytes: Buffer): Answer {
  let body: unknown = null
  try {
    body = bytes.length === 0 ? null : JSON.parse(bytes.toString())
  } catch {
    // A proxy's page: the status says enough.
  }
  const { data, errors } = isObject(body) ? body : {}
  return {
    status,
    data: isObject(data) ? data : {},
    errors: Array.isArray(errors) ? errors.filter(each => typeof each === 'string') : [],
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
