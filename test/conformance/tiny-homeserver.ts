/** The least that a deployment can be tried with: answers `/versions`, registers whomever asks, keeps a count of its
 *  starts in its data directory, and knows nothing else. Run as a program, like a homeserver. */
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

const {
  LETHE_DATA_DIR = '.',
  LETHE_LISTEN__HOST = '127.0.0.1',
  LETHE_LISTEN__PORT = '0',
  LETHE_SERVER_NAME,
} = process.env

function countStart(): number {
  const path = join(LETHE_DATA_DIR, 'starts')
  let before = 0
  try {
    before = Number(readFileSync(path, 'utf8'))
  } catch {
    // The first start: no file yet.
  }
  writeFileSync(path, String(before + 1))
  return before + 1
}

if (process.argv.includes('--refuse')) {
  process.stderr.write('refusing to start\n')
  process.exit(3)
}

const starts = countStart()
let registered = 0

createServer((request, response) => {
  const path = (request.url ?? '/').split('?')[0]
  let status = 404
  let body: object = { errcode: 'M_UNRECOGNIZED', error: 'Unrecognized request' }
  if (path === '/_matrix/client/versions') {
    status = 200
    body = { versions: ['v1.1'], starts }
  } else if (path === '/_matrix/client/v3/register' && request.method === 'POST') {
    registered += 1
    status = 200
    body = {
      user_id: `@user-${registered}:${LETHE_SERVER_NAME}`,
      access_token: `${registered}`,
      device_id: `D${registered}`,
    }
  }
  request.resume()
  request.once('end', () => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(body))
  })
}).listen(Number(LETHE_LISTEN__PORT), LETHE_LISTEN__HOST)
