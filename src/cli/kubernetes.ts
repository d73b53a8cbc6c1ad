import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { codeOf } from '../errors.ts'
import { systemRandom } from '../random.ts'
import { newSigningKeyLine } from '../signing-key.ts'
import { type CommonOptions, exits, fail, show } from './command.ts'

/** Where Kubernetes puts what a pod needs to speak to its API. */
export const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'

export type KubernetesOptions = CommonOptions & {
  readonly signingKey?: string
  readonly password?: string
  readonly serviceAccount: string
}

const timeoutMs = 30_000
const answerLimitBytes = 65_536
const passwordBytes = 24

/** The cluster did not do what it was asked; the message holds no secret. */
class KubernetesError extends Error {
  override readonly name = 'KubernetesError'
}

interface Api {
  readonly host: string
  readonly port: number
  readonly token: string
  readonly ca: string
  readonly namespace: string
}

/**
 * Makes the Secrets that were asked for. It only ever creates: one that is there already is left as it is, whatever it
 * holds, and so it needs no right but that. What it makes is immutable, so nothing can replace it by mistake later.
 */
export async function createKubernetesSecrets(options: KubernetesOptions): Promise<number> {
  const wanted = [
    ...(options.signingKey === undefined ? [] : [{ name: options.signingKey, key: 'signing.key', draw: signingKey }]),
    ...(options.password === undefined ? [] : [{ name: options.password, key: 'password', draw: password }]),
  ]
  if (wanted.length === 0) {
    return fail('Say what to make: --signing-key SECRET, --password SECRET.', exits.usage, options)
  }
  try {
    const api = await apiOf(options.serviceAccount)
    const made: { name: string; created: boolean }[] = []
    for (const { name, key, draw } of wanted) made.push({ name, created: await create(api, name, key, draw()) })
    const lines = made.map(({ name, created }) => (created ? `Made ${name}.` : `${name} is there already.`))
    return show({ json: { secrets: made }, lines }, options)
  } catch (error) {
    if (!(error instanceof KubernetesError)) throw error
    return fail(error.message, exits.failed, options)
  }
}

const signingKey = () => newSigningKeyLine(systemRandom)
/** Letters that need no quoting anywhere. */
const password = () => Buffer.from(systemRandom.bytes(passwordBytes)).toString('base64url')

async function apiOf(folder: string): Promise<Api> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env
  if (!host || !port) throw new KubernetesError('This does not run in a cluster: KUBERNETES_SERVICE_HOST is not set.')
  const read = async (name: string): Promise<string> => {
    try {
      return (await readFile(join(folder, name), 'utf8')).trim()
    } catch (error) {
      throw new KubernetesError(`${join(folder, name)} cannot be read (${codeOf(error) ?? 'unknown error'}).`)
    }
  }
  const [token, ca, namespace] = await Promise.all([read('token'), read('ca.crt'), read('namespace')])
  return { host, port: Number(port), token, ca, namespace }
}

/** False when there is one of that name. */
async function create(api: Api, name: string, key: string, value: string): Promise<boolean> {
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, labels: { 'app.kubernetes.io/part-of': 'lethe' } },
    type: 'Opaque',
    immutable: true,
    stringData: { [key]: value },
  }
  const { status, reason } = await post(api, `/api/v1/namespaces/${encodeURIComponent(api.namespace)}/secrets`, secret)
  if (status === 201 || status === 200) return true
  if (status === 409) return false
  throw new KubernetesError(`The cluster answered ${status} (${reason}) when it was to make the Secret ${name}.`)
}

interface Answer {
  readonly status: number
  /** Kubernetes's own word, such as `Forbidden`. */
  readonly reason: string
}

function post(api: Api, path: string, value: unknown): Promise<Answer> {
  const body = JSON.stringify(value)
  return new Promise((resolve, reject) => {
    const giveUp = (error: Error) => reject(new KubernetesError(`The cluster cannot be reached: ${error.message}.`))
    const headers = {
      Authorization: `Bearer ${api.token}`,
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
    }
    const { host, port, ca } = api
    const sent = request({ host, port, path, method: 'POST', ca, headers, timeout: timeoutMs }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        if (text.length < answerLimitBytes) text += chunk
      })
      response.on('error', giveUp)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, reason: reasonIn(text) }))
    })
    sent.on('error', giveUp)
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')))
    sent.end(body)
  })
}

function reasonIn(text: string): string {
  const found = /"reason":\s*"([A-Za-z]{1,64})"/.exec(text)
  return found?.[1] ?? 'no reason given'
}
