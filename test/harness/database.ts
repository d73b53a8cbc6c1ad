import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { type Connection } from '../../src/storage/client.ts'
import { asSuperuser, type ClusterAddress } from './cluster.ts'

/** A database of a test's own: migrated, empty, and nobody else's. */
export interface TestDatabase {
  readonly url: string
  readonly connection: Connection
  /** Breaks off what is still connected and removes it. */
  drop(): Promise<void>
}

let address: Promise<ClusterAddress> | null = null

/** Clones the template database. Call `drop` after the tests, when the pools are closed. */
export async function testDatabase(options: { readonly empty?: boolean } = {}): Promise<TestDatabase> {
  address ??= askForCluster()
  const { host, port, superuser, owner, template, strategy } = await address
  const admin = { host, port, user: superuser, database: 'postgres' }
  const name = `test_${randomBytes(8).toString('hex')}`
  const source = options.empty === true ? 'TEMPLATE template0' : `TEMPLATE ${template} STRATEGY ${strategy}`
  await asSuperuser(admin, `CREATE DATABASE ${name} OWNER ${owner} ${source}`)
  return {
    url: `postgres://${owner}@${encodeURIComponent(host)}:${port}/${name}`,
    connection: { host, port, user: owner, database: name },
    drop: () => asSuperuser(admin, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  }
}

/** Asks jest's own process, which starts the cluster for the first who asks (`global-setup.ts`). */
function askForCluster(): Promise<ClusterAddress> {
  const path = process.env['TEST_POSTGRES_SERVICE']
  if (path === undefined)
    return Promise.reject(new Error('run the tests through jest with the configuration of this repository'))
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = connect(path)
    socket.setEncoding('utf8')
    socket.on('data', chunk => (text += String(chunk)))
    socket.on('error', reject)
    socket.on('end', () => {
      // What global-setup.ts sends.
      const answer = JSON.parse(text) as { address: ClusterAddress } | { error: string }
      if ('error' in answer) reject(new Error(`the tests' Postgres did not start: ${answer.error}`))
      else resolve(answer.address)
    })
  })
}
