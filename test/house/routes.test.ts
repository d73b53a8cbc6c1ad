import { describe, expect, it } from '@jest/globals'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { routes } from '../../src/api/routes.ts'
import { type Auth, type Endpoint, endpointsOf } from '../../src/http/endpoint.ts'
import { loadSpec, type SpecAuth, type SpecOperation } from '../harness/spec.ts'
import { repositoryFolder } from './sources.ts'

const apiFolder = join(repositoryFolder, 'src/api')

/** Operations of the specification that are not built. May only shrink. */
const notBuilt = JSON.parse(
  readFileSync(join(repositoryFolder, 'test/house/not-built.json'), 'utf8'),
) as readonly string[] // A list of "METHOD /path", and nothing else is ever written there.

/** Route files below `src/api`, without `.ts`, and what they declare. */
async function routeFiles(): Promise<ReadonlyMap<string, readonly Endpoint[]>> {
  const files = (readdirSync(apiFolder, { recursive: true }) as string[])
    .map(name => name.replaceAll('\\', '/'))
    .filter(name => name.endsWith('.ts') && !name.endsWith('routes.ts'))
  const found = new Map<string, readonly Endpoint[]>()
  for (const name of files) {
    // A module's exports, by name.
    const module = (await import(join(apiFolder, name))) as Record<string, unknown>
    const endpoints = endpointsOf(module)
    if (endpoints.length > 0) found.set(name.replace(/\.ts$/, ''), endpoints)
  }
  return found
}

/** The file that a path belongs into: prefix, version and parameters dropped, the rest joined. */
function fileOf(path: string): string | null {
  const rest = (text: string) => text.split('/').filter(part => part !== '' && !part.startsWith(':')).join('/') // prettier-ignore
  let match: RegExpExecArray | null
  if ((match = /^\/_matrix\/client\/(?:v\d+\/|r0\/)?(.*)$/.exec(path))) return `client/${rest(match[1] ?? '')}`
  if ((match = /^\/_matrix\/media\/(?:v\d+\/|r0\/)?(.*)$/.exec(path))) return `media/${rest(match[1] ?? '')}`
  if ((match = /^\/\.well-known\/matrix\/(.*)$/.exec(path))) return `well-known/${rest(match[1] ?? '')}`
  if ((match = /^\/_synapse\/admin\/(?:v\d+\/)?(.*)$/.exec(path))) return `admin/${rest(match[1] ?? '')}`
  if ((match = /^\/_lethe\/client\/(?:v\d+\/)?(.*)$/.exec(path))) return `lethe/client/${rest(match[1] ?? '')}`
  if ((match = /^\/_lethe\/admin\/(?:v\d+\/)?(.*)$/.exec(path))) return `lethe/admin/${rest(match[1] ?? '')}`
  return null
}

const shapeOf = (method: string, path: string) => `${method} ${path.replace(/\{\w+\}|:\w+/g, '{}')}`
const mounted = new Map(
  routes.flatMap(endpoint => endpoint.paths.map(path => [shapeOf(endpoint.method, path), endpoint] as const)),
)

describe('route files', () => {
  it('are all mounted', async () => {
    const known = new Set(routes)
    const files = await routeFiles()
    const lost = [...files].flatMap(([file, endpoints]) =>
      endpoints
        .filter(endpoint => !known.has(endpoint))
        .map(endpoint => `${file}: ${endpoint.method} ${endpoint.paths[0]}`),
    )
    expect(lost).toEqual([])
    expect([...files.values()].flat()).toHaveLength(routes.length)
  })

  it('are called like the paths they answer', async () => {
    const wrong: string[] = []
    for (const [file, endpoints] of await routeFiles()) {
      for (const { method, paths } of endpoints) {
        const expected = fileOf(paths[0] ?? '')
        if (expected !== null && expected !== file) wrong.push(`${method} ${paths[0]} stands in ${file}`)
      }
    }
    expect(wrong).toEqual([])
  })

  it('declare a limit unless it would do harm', () => {
    const unlimited = routes.filter(({ limit }) => limit === null).map(({ method, paths }) => `${method} ${paths[0]}`)
    expect(unlimited.sort()).toEqual([...withoutLimit].filter(name => unlimited.includes(name)).sort())
  })
})

/** Health and discovery cost nothing; a sync is one request for each wake-up; logging out must always work. */
const withoutLimit = new Set([
  'GET /.well-known/matrix/client',
  'GET /.well-known/matrix/server',
  'GET /.well-known/matrix/support',
  'GET /_matrix/client/v3/sync',
  'GET /_matrix/client/versions',
  'GET /health/live',
  'GET /health/ready',
  'POST /_matrix/client/v3/logout',
  'POST /_matrix/client/v3/logout/all',
  'POST /_matrix/client/unstable/org.matrix.simplified_msc3575/sync',
])

/** Where Lethe wants to know more than the specification does, or knows less, and why. */
const otherAuth: Readonly<Record<string, string>> = {
  'GET /_matrix/client/v3/profile/{}': 'profiles are shown to those who have an account here',
  'GET /_matrix/client/v3/profile/{}/{}': 'profiles are shown to those who have an account here',
  'GET /_matrix/client/v3/publicRooms': 'the directory is shown to those who have an account here',
  'GET /_matrix/client/v3/directory/list/room/{}': 'the directory is shown to those who have an account here',
  'GET /_matrix/client/v3/directory/room/{}': 'aliases are shown to those who have an account here',
}

const auths: Readonly<Record<SpecAuth, readonly Auth[]>> = {
  none: ['none'],
  optional: ['optional'],
  user: ['user', 'guest', 'admin'],
  appservice: ['appservice'],
  server: ['server'],
}

const spec = loadSpec()
const describeSpec = spec ? describe : describe.skip

if (!spec) process.stderr.write('The specification is not at hand: routes are not held against it.\n')

describeSpec('the specification', () => {
  const operations: readonly SpecOperation[] = spec?.operations ?? []

  it('has the same idea of who may call', () => {
    const wrong = operations.flatMap(({ method, path, auth }) => {
      const shape = shapeOf(method, path)
      const endpoint = mounted.get(shape)
      if (!endpoint || shape in otherAuth) return []
      return auths[auth].includes(endpoint.auth) ? [] : [`${shape}: ${endpoint.auth}, the specification says ${auth}`]
    })
    expect(wrong).toEqual([])
  })

  it('is built but for what is listed, and the list holds nothing that is built', () => {
    const missing = new Set(
      operations
        .filter(({ method, path }) => !mounted.has(shapeOf(method, path)))
        .map(({ method, path }) => `${method} ${path}`),
    )
    expect([...missing].filter(name => !notBuilt.includes(name))).toEqual([])
    expect(notBuilt.filter(name => !missing.has(name))).toEqual([])
  })

  it('gives every file a name of its own', () => {
    const files = new Set(operations.flatMap(({ path }) => fileOf(path.replace(/\{(\w+)\}/g, ':$1')) ?? []))
    expect(new Set([...files].map(name => name.toLowerCase())).size).toBe(files.size)
  })

  it('is where it should be', () => {
    expect(existsSync(join(repositoryFolder, 'test/house/not-built.json'))).toBe(true)
    expect(operations.length).toBeGreaterThan(200)
  })
})
