import { lookup } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { picture } from '../media/images.ts'
import { nobody, path, register } from '../harness/people.ts'
import { startTestServer } from '../harness/server.ts'

// Run by no-phone-home.test.ts in a network of its own: lives a server's life, and prints what left the machine meanwhile.

/** Packets that were sent through the only way out. */
async function packets(): Promise<number> {
  const line = /^ *recorder:(.*)$/m.exec(await readFile('/proc/net/dev', 'utf8'))?.[1]
  // Eight numbers of what came in, then bytes and packets of what went out.
  const sent = line?.trim().split(/ +/)[9]
  if (sent === undefined) throw new Error('there is no recorder')
  return Number(sent)
}

const before = await packets()
const server = await startTestServer()
const [alice, bob] = [await register(server, 'alice'), await register(server, 'bob')]
const room = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'here' })
await bob.join(room)
await alice.send(room, 'see https://www.example.org/ and matrix.to')
await bob.sync()
const headers = { 'Content-Type': 'image/png' }
const uploaded = await alice.request('POST', '/_matrix/media/v3/upload', await picture(900, 700, 'png'), { headers })
const uri = String((uploaded.json as { content_uri?: string }).content_uri) // An upload answers with an object.
const mediaId = uri.split('/').at(-1) ?? ''
await alice.request('GET', path`/_matrix/client/v1/media/thumbnail/lethe.test/${mediaId}?width=64&height=64`)
// What concerns other servers, none of which this one talks to.
await alice.request('GET', path`/profile/${'@zoe:example.org'}`)
await alice.request('POST', '/keys/query', { device_keys: { '@zoe:example.org': [] } })
await alice.request('GET', '/publicRooms?server=example.org')
await alice.request('POST', path`/join/${'#room:example.org'}`, {})
await alice.request('GET', path`/_matrix/client/v1/media/download/example.org/${mediaId}`)
await nobody(server).request('POST', '/login', { type: 'm.login.password', user: 'alice', password: 'wrong' })
await nobody(server).request('GET', '/_matrix/client/versions')
await server.clock.advance(3 * 3_600_000)
await server.close()
const after = await packets()
// The recorder must see what it is there for: a name that is asked for, and a connection.
await lookup('www.example.org').catch(() => null)
const asked = await packets()
await fetch('http://198.51.100.7/', { signal: AbortSignal.timeout(500) }).catch(() => null)
const connected = await packets()
const result = {
  sent: after - before,
  lookups: asked - after,
  connections: connected - asked,
  picture: uploaded.status,
}
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))
