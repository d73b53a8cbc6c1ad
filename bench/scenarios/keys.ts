import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import { claimKey, queryKeys, uploadKeys, type Person } from '../calls.ts'
import { type Answer } from '../connection.ts'
import { closedLoop, inParallel } from '../load.ts'
import { type Bench, type Scenario, Windows } from '../scenario.ts'

const people = 64
const workers = 16
const uploadsPerPerson = 5
const keysPerUpload = 10
const usersPerQuery = 10
const claimsPerPerson = uploadsPerPerson * keysPerUpload

type Device = { readonly person: Person; readonly signingKey: KeyObject; readonly keysJson: string }

/**
 * End-to-end keys: uploads of ten signed one-time keys, queries of ten users, claims of one key. Each window uploads
 * what its claims then use up, so that devices hold about fifty keys at most.
 */
export const keysScenario: Scenario = {
  name: 'keys',
  title: `keys upload, query and claim, ${workers} clients`,
  run: async bench => {
    const crowd = await bench.people('crowd', people)
    const devices = crowd.map(makeDevice)
    await inParallel(devices, 8, device =>
      bench.settle(uploadKeys(device.person, `{"device_keys":${device.keysJson}}`)),
    )
    const connections = Array.from({ length: workers }, () => bench.connect())
    const spread = (operations: Iterable<Operation>, durationMs: number) => {
      const remaining = operations[Symbol.iterator]()
      return closedLoop({
        workers,
        durationMs,
        operation: worker => {
          const next = remaining.next()
          const connection = connections[worker]
          return next.done || connection === undefined ? null : connection.request(next.value)
        },
      })
    }
    const { plan } = bench.options
    const warmUp = { uploads: new Windows(bench), queries: new Windows(bench), claims: new Windows(bench) }
    const counted = { uploads: new Windows(bench), queries: new Windows(bench), claims: new Windows(bench) }
    for (let round = 0; round <= plan.windows; round += 1) {
      const { uploads, queries, claims } = round === 0 ? warmUp : counted
      const durationMs = round === 0 ? plan.warmUpMs : plan.windowMs
      // Signed beforehand, which is work of the clients.
      const signed = uploadRound(bench, devices)
      await uploads.measure(() => spread(signed, durationMs))
      await queries.measure(() => spread(queryRound(crowd), durationMs))
      await claims.measure(() => checkedClaims(crowd, connections, durationMs))
    }
    const { uploads, queries, claims } = counted
    return [
      uploads.result('keys-upload', `upload ${keysPerUpload} one-time keys, ${workers} clients`),
      queries.result('keys-query', `query the keys of ${usersPerQuery} users, ${workers} clients`),
      claims.result('keys-claim', `claim one key, ${workers} clients`),
    ]
  },
}

type Operation = ReturnType<typeof uploadKeys>

function uploadRound(bench: Bench, devices: readonly Device[]): Operation[] {
  return Array.from({ length: uploadsPerPerson }).flatMap(() =>
    devices.map(device => uploadKeys(device.person, oneTimeKeys(bench, device))),
  )
}

function* queryRound(crowd: readonly Person[]): Generator<Operation, never> {
  for (let turn = 0; ; turn += 1) {
    const asker = crowd[turn % crowd.length]
    if (asker === undefined) throw new RangeError('nobody to ask')
    const asked = Array.from({ length: usersPerQuery }, (_, index) => crowd[(turn + index + 1) % crowd.length] ?? asker)
    yield queryKeys(
      asker,
      asked.map(person => person.userId),
    )
  }
}

/** Claims until every device is empty or time is up. An answer without a key counts as an error. */
function checkedClaims(
  crowd: readonly Person[],
  connections: readonly { request: (call: Operation) => Promise<Answer> }[],
  durationMs: number,
) {
  let turn = 0
  return closedLoop({
    workers,
    durationMs,
    operation: worker => {
      const claimer = crowd[(turn + 1) % crowd.length]
      const target = crowd[turn % crowd.length]
      turn += 1
      if (turn > crowd.length * claimsPerPerson || claimer === undefined || target === undefined) return null
      const answer = connections[worker]?.request(claimKey(claimer, target))
      return answer?.then(requireKey) ?? null
    },
  })
}

function requireKey(answer: Answer): Answer {
  const isEmpty = answer.status === 200 && !answer.text.includes('signed_curve25519:')
  if (isEmpty) throw new Error('a claim was answered without a key')
  return answer
}

/** https://spec.matrix.org/v1.19/client-server-api/#device-keys with a real signature, since a server may check it. */
function makeDevice(person: Person): Device {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  // The raw key is the last 32 bytes of its DER form.
  const ed25519 = unpadded(publicKey.export({ type: 'spki', format: 'der' }).subarray(-32))
  const keys = {
    algorithms: ['m.megolm.v1.aes-sha2', 'm.olm.v1.curve25519-aes-sha2'],
    device_id: person.deviceId,
    keys: { [`curve25519:${person.deviceId}`]: unpadded(randomBytes(32)), [`ed25519:${person.deviceId}`]: ed25519 },
    user_id: person.userId,
  }
  const signatures = signatureOf(person, privateKey, JSON.stringify(keys))
  return { person, signingKey: privateKey, keysJson: JSON.stringify({ ...keys, signatures }) }
}

function oneTimeKeys(bench: Bench, device: Device): string {
  const keys = Array.from({ length: keysPerUpload }, () => {
    const key = unpadded(randomBytes(32))
    const signatures = signatureOf(device.person, device.signingKey, JSON.stringify({ key }))
    return [`signed_curve25519:${bench.uniqueName()}`, { key, signatures }]
  })
  return JSON.stringify({ one_time_keys: Object.fromEntries(keys) })
}

/** `canonical` must be canonical JSON; the literals above are written with their keys in order. */
function signatureOf(person: Person, key: KeyObject, canonical: string) {
  return { [person.userId]: { [`ed25519:${person.deviceId}`]: unpadded(sign(null, Buffer.from(canonical), key)) } }
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}
