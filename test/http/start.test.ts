import { describe, expect, it } from '@jest/globals'
import { chmod, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { silentLogger } from '../../src/log.ts'
import { startServer } from '../../src/server.ts'
import { exchange } from '../harness/exchange.ts'
import { Caller, register } from '../harness/people.ts'
import { startTestServer } from '../harness/server.ts'

describe('a server that starts again', () => {
  it('still knows its people, and signs with the same key', async () => {
    const first = await startTestServer()
    const alice = await register(first)
    const { publicKey, keyId } = first.ctx.signingKey
    const since = await alice.now()
    const second = await first.restart()
    const again = new Caller(second.url, alice.accessToken)
    expect(await again.get('/account/whoami')).toMatchObject({ user_id: alice.userId })
    expect(second.ctx.signingKey).toMatchObject({ publicKey, keyId })
    // Nothing was lost, so tokens of before go on: there is nothing to tell.
    expect(await again.get('/sync', { since })).not.toHaveProperty('rooms')
    await second.close()
  })

  it('keeps its key to itself', async () => {
    const first = await startTestServer()
    const file = join(first.config.dataDir, 'signing.key')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await readFile(file, 'utf8')).toMatch(/^ed25519 \w+ [A-Za-z0-9+/]{43}\n$/)
    await chmod(file, 0o644)
    const second = await first.restart()
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    await second.close()
  })

  it('signs with the key of its settings, and writes none then', async () => {
    const line = `ed25519 a_given ${Buffer.alloc(32, 7).toString('base64')}`
    const server = await startTestServer({ settings: { signing_key: line } })
    expect(server.ctx.signingKey).toMatchObject({ keyId: 'ed25519:a_given' })
    await register(server)
    await expect(stat(join(server.config.dataDir, 'signing.key'))).rejects.toThrow('ENOENT')
    await server.close()
  })

  it('may not get another name', async () => {
    const server = await startTestServer()
    const config = { ...server.config, serverName: 'other.test' as typeof server.config.serverName }
    await expect(startServer({ config, logger: silentLogger })).rejects.toThrow(
      'belongs to the server "lethe.test", and server_name says "other.test"',
    )
    await server.close()
  })

  it('does not go on without the key that signed its events', async () => {
    const server = await startTestServer()
    const alice = await register(server)
    await alice.createRoom()
    const file = join(server.config.dataDir, 'signing.key')
    await rename(file, `${file}.away`)
    await expect(startServer({ config: server.config, logger: silentLogger })).rejects.toThrow('signing.key is missing')
    await writeFile(file, 'ed25519 broken key\n')
    await expect(startServer({ config: server.config, logger: silentLogger })).rejects.toThrow('does not hold one line')
    await server.close()
  })

  it('says when its port is taken, and leaves nothing behind', async () => {
    const server = await startTestServer()
    const { port } = new URL(server.url)
    const config = { ...server.config, listen: { ...server.config.listen, port: Number(port) } }
    await expect(startServer({ config, logger: silentLogger })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    expect((await exchange(server.url, { method: 'GET', target: '/health/ready' })).status).toBe(200)
    await server.close()
  })
})

describe('a server that stops', () => {
  it('can be told so twice', async () => {
    const server = await startTestServer()
    const { url } = server
    const closing = server.close()
    await closing
    await expect(exchange(url, { method: 'GET', target: '/health/live' })).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    })
  })
})
