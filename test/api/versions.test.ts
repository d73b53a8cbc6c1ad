import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { at, nobody, path, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'

let server: TestServer

beforeAll(async () => {
  server = await startTestServer({
    settings: { public_base_url: 'https://matrix.lethe.test', federation: { enabled: true } },
  })
})

afterAll(() => server.close())

describe('what the server says of itself', () => {
  it('names versions that clients insist on, and each feature that is claimed is there', async () => {
    const answer = await nobody(server).get('/_matrix/client/versions')
    expect(answer['versions']).toEqual(expect.arrayContaining(['v1.1', 'v1.11', 'v1.13']))
    const claimed = Object.entries(answer['unstable_features'] ?? {}).flatMap(([name, isClaimed]) =>
      isClaimed ? [name] : [],
    )
    expect(claimed.sort()).toEqual(['org.matrix.msc4380.stable', 'uk.tcpip.msc4133', 'uk.tcpip.msc4133.stable'])
  })

  it('keeps profile fields of any name (MSC4133)', async () => {
    const alice = await register(server)
    for (const prefix of ['/_matrix/client/v3', '/_matrix/client/unstable/uk.tcpip.msc4133']) {
      const field = `${prefix}${path`/profile/${alice.userId}/org.example.colour`}`
      await alice.put(field, { 'org.example.colour': prefix })
      expect(await alice.get(field)).toEqual({ 'org.example.colour': prefix })
    }
  })

  it('lets people take no invitations (MSC4380)', async () => {
    const [alice, bob] = [await register(server), await register(server)]
    const room = await alice.createRoom()
    await bob.put(path`/user/${bob.userId}/account_data/m.invite_permission_config`, { default_action: 'block' })
    await expect(alice.invite(room, bob.userId)).rejects.toMatchObject({ status: 403, errcode: 'M_INVITE_BLOCKED' })
  })

  it('tells its capabilities', async () => {
    const alice = await register(server)
    const { capabilities } = await alice.get('/capabilities')
    expect(at(capabilities, 'm.room_versions', 'default')).toBe('12')
    expect(at(capabilities, 'm.room_versions', 'available', '11')).toBe('stable')
    expect(at(capabilities, 'm.3pid_changes', 'enabled')).toBe(false)
    expect(at(capabilities, 'm.get_login_token', 'enabled')).toBe(false)
  })

  it('says where it is found when it has been told', async () => {
    expect(await nobody(server).get('/.well-known/matrix/client')).toEqual({
      'm.homeserver': { base_url: 'https://matrix.lethe.test' },
    })
    expect(await nobody(server).get('/.well-known/matrix/server')).toEqual({ 'm.server': 'matrix.lethe.test:443' })
    const alone = await startTestServer()
    for (const name of ['client', 'server']) {
      expect((await nobody(alone).request('GET', `/.well-known/matrix/${name}`)).status).toBe(404)
    }
    await alone.close()
  })
})
