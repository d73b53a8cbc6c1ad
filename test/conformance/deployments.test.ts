import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Control, serveControl } from './control.ts'
import { Deployments } from './deployments.ts'
import { environmentOf } from './homeserver-process.ts'

const tinyHomeserver = [process.execPath, join(import.meta.dirname, 'tiny-homeserver.ts')]

let logDirectory: string
let deployments: Deployments
let control: Control

async function begin(options: { reuse: boolean; command?: readonly string[] }): Promise<void> {
  deployments = new Deployments({
    command: options.command ?? tinyHomeserver,
    workingDirectory: import.meta.dirname,
    logDirectory,
    databaseUrl: null,
    reuse: options.reuse,
  })
  control = await serveControl(deployments)
}

interface Server {
  readonly client_url: string
  readonly address: string
  readonly federation_port: number
}

interface Deployed {
  readonly id: string
  readonly servers: Readonly<Record<string, Server>>
}

async function ask(method: string, path: string, body?: object): Promise<{ status: number; body: Deployed }> {
  const response = await fetch(`${control.url}${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  // The interface's documented shape; a refusal has other keys, and the tests that expect one read only the status.
  return { status: response.status, body: (await response.json()) as Deployed }
}

async function deploy(servers: number): Promise<Deployed> {
  const { status, body } = await ask('POST', '/deployments', { servers })
  expect(status).toBe(200)
  return body
}

function urlOf(deployed: Deployed, name: string): string {
  const server = deployed.servers[name]
  if (server === undefined) throw new Error(`${name} was not deployed`)
  return server.client_url
}

async function startsOf(url: string): Promise<unknown> {
  const response = await fetch(`${url}/_matrix/client/versions`, { signal: AbortSignal.timeout(1_000) })
  // The tiny homeserver answers its number of starts; anything else fails the comparison.
  return ((await response.json()) as { starts: unknown }).starts
}

describe('deployments of homeservers', () => {
  beforeEach(async () => {
    logDirectory = await mkdtemp(join(tmpdir(), 'lethe-conformance-test-'))
  })

  afterEach(async () => {
    await control.close()
    await deployments.endAll()
    await rm(logDirectory, { recursive: true, force: true })
  })

  it('gives each server a loopback address of its own, and ends them all', async () => {
    await begin({ reuse: false })
    const first = await deploy(2)
    const second = await deploy(1)
    const urls = [urlOf(first, 'hs1'), urlOf(first, 'hs2'), urlOf(second, 'hs1')]
    expect(new Set(urls).size).toBe(3)
    for (const url of urls) expect(url).toMatch(/^http:\/\/127\.\d+\.\d+\.\d+:8008$/)
    expect(await Promise.all(urls.map(startsOf))).toEqual([1, 1, 1])

    expect((await ask('DELETE', `/deployments/${first.id}`)).status).toBe(200)
    await expect(startsOf(urlOf(first, 'hs1'))).rejects.toThrow()
    expect(await startsOf(urlOf(second, 'hs1'))).toBe(1)

    await ask('DELETE', '/deployments')
    await expect(startsOf(urlOf(second, 'hs1'))).rejects.toThrow()
  })

  it('shares servers when asked to, grows them, and mends one that has stopped', async () => {
    await begin({ reuse: true })
    const first = await deploy(1)
    await ask('DELETE', `/deployments/${first.id}`)
    const second = await deploy(2)
    expect(second.id).toBe(first.id)
    expect(urlOf(second, 'hs1')).toBe(urlOf(first, 'hs1'))
    expect(await startsOf(urlOf(second, 'hs1'))).toBe(1)

    await ask('POST', `/deployments/${second.id}/servers/hs2/stop`)
    await expect(startsOf(urlOf(second, 'hs2'))).rejects.toThrow()
    expect(await startsOf(urlOf(await deploy(2), 'hs2'))).toBe(2)
  })

  it('restarts servers on the same data and address', async () => {
    await begin({ reuse: false })
    const deployed = await deploy(1)
    const { body } = await ask('POST', `/deployments/${deployed.id}/restart`)
    expect(urlOf(body, 'hs1')).toBe(urlOf(deployed, 'hs1'))
    expect(await startsOf(urlOf(body, 'hs1'))).toBe(2)
  })

  it('suspends a server without ending it', async () => {
    await begin({ reuse: false })
    const deployed = await deploy(1)
    await ask('POST', `/deployments/${deployed.id}/servers/hs1/pause`)
    await expect(startsOf(urlOf(deployed, 'hs1'))).rejects.toThrow()
    await ask('POST', `/deployments/${deployed.id}/servers/hs1/unpause`)
    expect(await startsOf(urlOf(deployed, 'hs1'))).toBe(1)
  })

  it('says what a server that does not start has printed, and leaves nothing behind', async () => {
    await begin({ reuse: true, command: [...tinyHomeserver, '--refuse'] })
    await expect(deployments.deploy(1)).rejects.toThrow('refusing to start')
    expect((await ask('POST', '/deployments', { servers: 1 })).status).toBe(500)
  })

  it('refuses a program that does not exist', async () => {
    await begin({ reuse: true, command: [join(logDirectory, 'absent')] })
    await expect(deployments.deploy(1)).rejects.toThrow('did not start')
  })

  it('refuses requests without its secret, numbers out of range, and what it does not know', async () => {
    await begin({ reuse: true })
    expect((await fetch(new URL('/deployments', control.url), { method: 'POST' })).status).toBe(404)
    expect((await ask('POST', '/deployments', { servers: 0 })).status).toBe(400)
    expect((await ask('POST', '/deployments', { servers: 9 })).status).toBe(400)
    expect((await ask('POST', '/deployments', {})).status).toBe(400)
    expect((await ask('GET', '/deployments')).status).toBe(404)
    expect((await ask('POST', '/deployments/none/restart')).status).toBe(404)
  })
})

describe('the environment of a homeserver', () => {
  const settings = {
    serverName: 'hs1',
    address: '127.80.1.1',
    dataDirectory: '/data',
    logFile: '/log',
    databaseUrl: null,
    command: [],
    workingDirectory: '/',
  }

  it('passes on settings of the caller, and lets none of them undo its own', () => {
    const environment = environmentOf(settings, { LETHE_LOG__LEVEL: 'debug', LETHE_DATA_DIR: '/precious', SECRET: 'x' })
    expect(environment).toMatchObject({ LETHE_LOG__LEVEL: 'debug', LETHE_DATA_DIR: '/data', LETHE_SERVER_NAME: 'hs1' })
    expect(environment).not.toHaveProperty('SECRET')
    expect(environment).not.toHaveProperty('LETHE_DATABASE__URL')
  })

  it('names the database when there is one', () => {
    expect(environmentOf({ ...settings, databaseUrl: 'postgres://127.0.0.1/a' }, {})).toHaveProperty(
      'LETHE_DATABASE__URL',
      'postgres://127.0.0.1/a',
    )
  })
})
