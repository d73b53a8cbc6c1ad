import { type Config } from '../../config.ts'
import { isAmong } from '../../http/address.ts'
import { type JsonValue } from '../../protocol/json.ts'
import { bad, type CheckName, type Finding, good } from './findings.ts'
import { ask, type Asked } from './request.ts'

const answerTimeoutMs = 15_000
/** An upload may be long, and the way narrow. */
const uploadTimeoutMs = 180_000
const holdMs = 30_000
const holdSlackMs = 15_000
/** Addresses of nobody, for documents. https://www.rfc-editor.org/rfc/rfc5737 */
const forged = ['203.0.113.7', '198.51.100.7', '192.0.2.7']

/** What the doctor needs to know for its way from the outside. */
export interface Outside {
  readonly config: Config
  /** Where clients reach the server, and where they look it up by its name. */
  readonly baseUrl: string
  readonly wellKnownUrl: string
  /** Proves to the server that a doctor asks. */
  readonly secret: string
}

/** Goes the way of clients, through whatever lies between. */
export async function lookFromOutside(outside: Outside): Promise<Finding[]> {
  const versions = await ask(outside.baseUrl, '/_matrix/client/versions', { timeoutMs: answerTimeoutMs })
  const address = lookAtAddress(outside, versions)
  if (address.some(({ level }) => level !== 'good' && address.length === 1)) return address
  const known = await probe(outside, 'address')
  if (known.kind !== 'answer' || known.status !== 200) return [bad('address', 'notThisServer', outside.baseUrl)]
  // The long poll takes half a minute: everything else can be looked at meanwhile.
  const [polls, ...rest] = await Promise.all([
    lookAtPolls(outside),
    lookAtWellKnown(outside),
    lookAtPaths(outside),
    lookAtUploads(outside),
    lookAtForwarded(outside, known.localAddress),
  ])
  return [...address, ...rest.flat(), ...polls]
}

const probe = (
  { baseUrl, secret }: Outside,
  what: string,
  options: Partial<Parameters<typeof ask>[2]> = {},
): Promise<Asked> =>
  ask(baseUrl, `/_matrix/client/unstable/org.lethe.probe/${secret}/${what}`, { timeoutMs: answerTimeoutMs, ...options })

function lookAtAddress({ baseUrl }: Outside, versions: Asked): Finding[] {
  if (versions.kind === 'failure') return [bad('address', 'unreachable', `${baseUrl} (${versions.reason})`)]
  if (versions.status !== 200 || !Array.isArray(versions.json?.['versions'])) {
    return [bad('address', 'notMatrix', `${baseUrl} answers ${versions.status}`)]
  }
  const origins = versions.headers['access-control-allow-origin'] ?? []
  if (origins.length > 1) return [bad('address', 'twoCors'), good('address', `${baseUrl} is a Matrix server.`)]
  if (origins[0] !== '*') return [bad('address', 'noCors'), good('address', `${baseUrl} is a Matrix server.`)]
  return [good('address', `${baseUrl} leads to a Matrix server, and web clients can read what it says.`)]
}

async function lookAtWellKnown({ config, wellKnownUrl }: Outside): Promise<Finding[]> {
  const { publicBaseUrl, federation, support } = config
  const wanted = [
    ...(publicBaseUrl === null ? [] : [{ name: 'client', holds: (json: Json) => objectOf(json['m.homeserver'])?.['base_url'] === publicBaseUrl }]), // prettier-ignore
    ...(publicBaseUrl !== null && federation.enabled ? [{ name: 'server', holds: (json: Json) => typeof json['m.server'] === 'string' }] : []), // prettier-ignore
    ...(support.contacts.length > 0 || support.page !== null ? [{ name: 'support', holds: (json: Json) => 'contacts' in json || 'support_page' in json }] : []), // prettier-ignore
  ]
  const findings: Finding[] = []
  for (const { name, holds } of wanted) {
    const path = `/.well-known/matrix/${name}`
    const asked = await ask(wellKnownUrl, path, { timeoutMs: answerTimeoutMs })
    findings.push(lookAtFile(`${wellKnownUrl}${path}`, asked, holds))
  }
  return findings
}

type Json = Readonly<Record<string, JsonValue>>

const objectOf = (value: JsonValue | undefined): Json | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null

function lookAtFile(url: string, asked: Asked, holds: (json: Json) => boolean): Finding {
  const check: CheckName = 'well-known'
  if (asked.kind === 'failure') return bad(check, 'wellKnownMissing', `${url} (${asked.reason})`)
  if (asked.status !== 200) return bad(check, 'wellKnownMissing', `${url} answers ${asked.status}`)
  const type = asked.headers['content-type']?.[0] ?? ''
  if (!/^application\/json\b/i.test(type)) return bad(check, 'wellKnownType', `${url} (${type || 'no type'})`)
  const origins = asked.headers['access-control-allow-origin'] ?? []
  if (origins.length !== 1 || origins[0] !== '*') return bad(check, 'wellKnownCors', url)
  if (!asked.json || !holds(asked.json)) return bad(check, 'wellKnownOther', url)
  return good(check, `${url} is as it should be.`)
}

/** No room has this alias: who is asked for it knows of none, and who is asked for another path does not know that. */
async function lookAtPaths({ baseUrl, config }: Outside): Promise<Finding[]> {
  const alias = `%23doctor%2Fprobe:${encodeURIComponent(config.serverName)}`
  const asked = await ask(baseUrl, `/_matrix/client/v3/directory/room/${alias}`, { timeoutMs: answerTimeoutMs })
  if (asked.kind === 'failure') return [bad('paths', 'unreachable', asked.reason)]
  const errcode = asked.json?.['errcode']
  const arrived = errcode === 'M_NOT_FOUND' || errcode === 'M_MISSING_TOKEN'
  if (arrived) return [good('paths', 'Encoded slashes arrive as they were sent.')]
  return [bad('paths', 'pathsChanged', typeof errcode === 'string' ? errcode : `it answers ${asked.status}`)]
}

async function lookAtUploads(outside: Outside): Promise<Finding[]> {
  const bodyBytes = outside.config.media.maxUploadBytes
  const asked = await probe(outside, 'upload', { method: 'POST', bodyBytes, timeoutMs: uploadTimeoutMs })
  const size = `${bodyBytes} bytes`
  if (asked.kind === 'failure') return [bad('uploads', 'uploadFailed', `${size} (${asked.reason})`)]
  if (asked.status === 200 && asked.json?.['bytes'] === bodyBytes) return [good('uploads', `An upload of ${size} arrives and can be stored.`)] // prettier-ignore
  if (asked.status === 413) return [bad('uploads', 'uploadTooSmall', size)]
  return [bad('uploads', 'uploadFailed', `${size} (it answers ${asked.status})`)]
}

async function lookAtPolls(outside: Outside): Promise<Finding[]> {
  const asked = await probe(outside, `hold?timeout=${holdMs}`, { timeoutMs: holdMs + holdSlackMs })
  if (asked.kind === 'answer' && asked.status === 200 && asked.json?.['held'] === true) {
    return [good('long polls', `An answer may take ${holdMs / 1_000} s.`)]
  }
  return [bad('long polls', 'pollsCut', asked.kind === 'failure' ? asked.reason : `it answers ${asked.status}`)]
}

/**
 * Whether the server believes an address that we make up. Several processes may answer, each with keys of its own, so we ask a
 * few times: a forged address that is believed has a key that no honest request has.
 */
async function lookAtForwarded(outside: Outside, ownAddress: string | null): Promise<Finding[]> {
  if (ownAddress !== null && isAmong(ownAddress, outside.config.trustedProxies)) {
    return [good('forwarded addresses', 'Whether forged addresses are believed cannot be told from here: this machine is trusted as a proxy itself.')] // prettier-ignore
  }
  const keyOf = async (headers: Record<string, string>): Promise<JsonValue> => {
    const asked = await probe(outside, 'address', { headers })
    return asked.kind === 'answer' ? (asked.json?.['key'] ?? null) : null
  }
  const honest = new Set<JsonValue>()
  for (let round = 0; round < forged.length; round++) honest.add(await keyOf({}))
  let believed = 0
  for (const address of forged) {
    const key = await keyOf({ 'X-Forwarded-For': address })
    if (key !== null && !honest.has(key)) believed++
  }
  if (believed === forged.length) return [bad('forwarded addresses', 'forgedAddress')]
  return [good('forwarded addresses', 'Nobody can say by a header which address they come from.')]
}
