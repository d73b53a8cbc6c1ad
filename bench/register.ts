import { createHmac } from 'node:crypto'
import { jsonObject, listMember, isObject, stringMember } from './answers.ts'
import { type Person } from './calls.ts'
import { type Answer, type Call, type Connection } from './connection.ts'
import { ScenarioError } from './errors.ts'
import { type Registration } from './options.ts'

/** Sends a request; the caller decides whether refusals are waited out (setup) or counted (measurement). */
export type Send = (call: Call) => Promise<Answer>

const dummy = 'm.login.dummy'
const withToken = 'm.login.registration_token'

/**
 * Makes an account and signs in its first device; all the requests that takes. Returns the last answer: read it with
 * `personOf` if its status is 200. Throws `ScenarioError` if the server asks for a stage that `registration` cannot
 * pass. https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3register
 */
export async function register(
  send: Send,
  registration: Registration,
  username: string,
  password: string,
): Promise<Answer> {
  if (registration.kind === 'shared-secret') return registerBySecret(send, registration.secret, username, password)
  const account = { username, password, inhibit_login: false }
  const first = await send(registerCall(account))
  if (first.status !== 401) return first
  const challenge = jsonObject(first)
  const session = stringMember(challenge, 'session')
  let answer = first
  for (const stage of passableFlow(listMember(challenge, 'flows'), registration)) {
    const token = registration.kind === 'token' && stage === withToken ? { token: registration.token } : {}
    answer = await send(registerCall({ ...account, auth: { type: stage, session, ...token } }))
    // 401 without an errcode means: this stage is passed, the next one is due.
    if (answer.status !== 401 || 'errcode' in jsonObject(answer)) return answer
  }
  return answer
}

/** The account in the answer to a registration. Throws `ScenarioError` if it is not there. */
export function personOf(answer: Answer): Person {
  const object = jsonObject(answer)
  return {
    userId: stringMember(object, 'user_id'),
    token: stringMember(object, 'access_token'),
    deviceId: stringMember(object, 'device_id'),
  }
}

/** `send` for measurements: one try, refusals are answers. */
export function sendOnce(connection: Connection): Send {
  return call => connection.request(call)
}

function registerCall(body: object): Call {
  return { method: 'POST', path: '/_matrix/client/v3/register', body: JSON.stringify(body), keepBody: true }
}

function passableFlow(flows: readonly unknown[], registration: Registration): string[] {
  const passable = new Set(registration.kind === 'token' ? [dummy, withToken] : [dummy])
  const offered = flows.filter(isObject).map(flow => listMember(flow, 'stages').map(String))
  const chosen = offered.find(stages => stages.every(stage => passable.has(stage)))
  if (chosen !== undefined) return chosen
  const wanted = offered.map(stages => stages.join(' + ')).join(', or ')
  throw new ScenarioError(
    `the server wants ${wanted || 'no known flow'} to register; open registration, or give --registration-token or --shared-secret`,
  )
}

/** Synapse's endpoint for administrators: a nonce, and an HMAC-SHA1 over nonce, name, password and role. */
async function registerBySecret(send: Send, secret: string, username: string, password: string): Promise<Answer> {
  const path = '/_synapse/admin/v1/register'
  const first = await send({ method: 'GET', path, keepBody: true })
  if (first.status !== 200) return first
  const nonce = stringMember(jsonObject(first), 'nonce')
  const mac = createHmac('sha1', secret).update([nonce, username, password, 'notadmin'].join('\0')).digest('hex')
  const body = JSON.stringify({ nonce, username, password, admin: false, mac })
  return send({ method: 'POST', path, body, keepBody: true })
}
