import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { writeFileSync } from 'node:fs'
import { copyFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeKeyring, KeyringError, newKeyring } from '../../src/privacy/keyring/keyring.ts'
import { type VaultSettings } from '../../src/privacy/keyring/transit.ts'
import { createVaultStore } from '../../src/privacy/keyring/vault-store.ts'
import { maskedConfig } from '../../src/config.ts'
import { silentLogger } from '../../src/log.ts'
import { startServer } from '../../src/server.ts'
import { systemRandom } from '../../src/random.ts'
import { sweep } from '../../src/retention/sweeper.ts'
import { Caller, path as pathOf, register } from '../harness/people.ts'
import { startTestServer, testConfig, type TestServer } from '../harness/server.ts'
import { type TransitFate, type TransitOperation, TransitServer } from '../harness/transit.ts'

let transit: TransitServer
let folder: string
let path: string

beforeEach(async () => {
  transit = await TransitServer.start()
  transit.addKey('lethe')
  folder = await mkdtemp(join(tmpdir(), 'lethe-test-vault-'))
  path = join(folder, 'keyring')
})

afterEach(async () => {
  await transit.close()
  await rm(folder, { recursive: true, force: true })
})

const settings = (more: Partial<VaultSettings> = {}): VaultSettings => ({
  url: transit.url, key: 'lethe', mount: 'transit', token: TransitServer.token, namespace: null, caFile: null,
  timeout: 2_000, ...more,
}) // prettier-ignore

const store = (more: Partial<VaultSettings> = {}) => createVaultStore(path, settings(more), systemRandom)

/** The message of the `KeyringError` that a promise ends in. */
async function complaint(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  )
  if (!(error instanceof KeyringError)) throw new Error(`no KeyringError: ${String(error)}`)
  expect(error.message).not.toContain(TransitServer.token)
  return error.message
}

const some = (text: string) => Buffer.from(text.repeat(100))

describe('a keyring in Vault', () => {
  it('gives back what was written last, and has nothing before that', async () => {
    expect(await store().read()).toBeNull()
    await store().write(some('one'))
    await store().write(some('two'))
    expect(await store().read()).toEqual(some('two'))
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['keyring'])
  })

  it('lies on the disk encrypted, and is never told to Vault', async () => {
    await store().write(some('PLAIN'))
    expect((await readFile(path)).includes('PLAIN')).toBe(false)
    const told = transit.heard.join('\n')
    expect(told).not.toContain('PLAIN')
    expect(told).not.toContain(Buffer.from('PLAINPLAIN').toString('base64').slice(0, 12))
  })

  it('is larger than what Vault takes in one request', async () => {
    const large = Buffer.alloc(40 * 1024 * 1024, 7)
    await store().write(large)
    expect((await store().read())?.equals(large)).toBe(true)
    expect(Math.max(...transit.heard.map(each => each.length))).toBeLessThan(1_000)
  })

  it('cannot be opened from an older copy of the file', async () => {
    await store().write(some('one'))
    await copyFile(path, `${path}.old`)
    // The control: as long as nothing was written after it, the copy opens.
    expect(await createVaultStore(`${path}.old`, settings(), systemRandom).read()).toEqual(some('one'))
    await store().write(some('two'))
    expect(transit.versionsOf('lethe')).toEqual([3])
    await copyFile(`${path}.old`, path)
    expect(await complaint(store().read())).toMatch(/older copy.*destroyed in Vault/)
  })

  const faults: readonly TransitFate[] = ['cut_before', 'cut_after', 'refuse']
  const steps: readonly TransitOperation[] = ['renew', 'read', 'rotate', 'encrypt', 'config', 'trim']
  it.each(steps.flatMap(step => faults.map(fate => [step, fate] as const)))(
    'can be read after a writing that ended at %s (%s), and the next cleans up',
    async (step, fate) => {
      // A token that cannot be renewed may do everything else.
      const goesOn = step === 'renew' && fate === 'refuse'
      await store().write(some('one'))
      await copyFile(path, `${path}.one`)
      transit.decide = operation => (operation === step ? fate : 'pass')
      if (goesOn) await store().write(some('two'))
      else expect(await complaint(store().write(some('two')))).toMatch(/Vault/)
      transit.decide = () => 'pass'
      const isReplaced = goesOn || step === 'config' || step === 'trim'
      expect(await store().read()).toEqual(some(isReplaced ? 'two' : 'one'))
      await copyFile(path, `${path}.two`)
      await store().write(some('three'))
      expect(await store().read()).toEqual(some('three'))
      expect(transit.versionsOf('lethe')).toHaveLength(1)
      for (const copy of ['one', 'two']) {
        expect(await complaint(createVaultStore(`${path}.${copy}`, settings(), systemRandom).read())).toMatch(/older copy/) // prettier-ignore
      }
    },
  )

  it('is read anew when another process replaces it at that moment', async () => {
    await store().write(some('one'))
    const first = await readFile(path)
    await store().write(some('two'))
    const second = await readFile(path)
    await writeFile(path, first)
    transit.decide = operation => {
      // The file is read, and what it names is asked for: now it is replaced.
      if (operation === 'decrypt') writeFileSync(path, second)
      return 'pass'
    }
    expect(await store().read()).toEqual(some('two'))
  })

  it('gives up on a Vault that does not answer', async () => {
    transit.decide = () => 'hang'
    expect(await complaint(store({ timeout: 200 }).write(some('one')))).toMatch(/does not answer \(ETIMEDOUT\)/)
    await transit.close()
    expect(await complaint(store().write(some('one')))).toMatch(/does not answer \(ECONNREFUSED\)/)
  })

  it('is refused with a wrong token, another key, one that can be exported, and when it is no such file', async () => {
    expect(await complaint(store({ token: 'hvs.wrong' }).write(some('one')))).toMatch(/token is refused/)
    expect(await complaint(store({ token: null }).write(some('one')))).toMatch(/token is refused/)
    expect(await complaint(store({ key: 'other' }).write(some('one')))).toMatch(/no such key/)
    transit.addKey('open', { isExportable: true })
    expect(await complaint(store({ key: 'open' }).write(some('one')))).toMatch(/exported/)
    expect(await store().read()).toBeNull()
    await writeFile(path, encodeKeyring(newKeyring('lethe.test', systemRandom)))
    expect(await complaint(store().read())).toMatch(/lethe keys restore/)
    await store().write(some('one'))
    const bytes = await readFile(path)
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1)
    await writeFile(path, bytes)
    expect(await complaint(store().read())).toMatch(/damaged/)
  })
})

describe('a server whose keyring is in Vault', () => {
  let server: TestServer | null = null
  afterEach(async () => {
    await server?.close()
    server = null
  })
  const inVault = () => ({
    sealing: { keyring: { path, vault: { url: transit.url, token: TransitServer.token } } },
  })
  const bodyOf = async ({ ctx }: TestServer, eventId: string): Promise<Buffer> => {
    const { rows } = await ctx.db.pool.query<{ body: Buffer }>('SELECT body FROM events WHERE event_id = $1', [eventId])
    return rows[0]?.body ?? Buffer.alloc(0)
  }
  const deadSeals = async ({ ctx }: TestServer): Promise<number> =>
    (await ctx.db.pool.query('SELECT FROM dead_seals')).rowCount ?? 0

  it('seals and opens, and no older copy of the file brings back what it destroyed', async () => {
    server = await startTestServer({ loops: [], settings: inVault() })
    const alice = await register(server)
    const room = await alice.createRoom()
    const doomed = await alice.send(room, 'doomed words')
    const kept = await alice.send(room, 'words that stay')
    await copyFile(path, `${path}.old`)
    const body = await bodyOf(server, doomed)
    expect(server.ctx.numbers.sealer.open(body, doomed)).toContain('doomed words')
    await alice.redact(room, doomed)
    await sweep(server.ctx)
    // The sealed bytes are in every backup of the database; their key is nowhere.
    expect(server.ctx.numbers.sealer.open(body, doomed)).toBeNull()
    server = await server.restart()
    const again = new Caller(server.url, alice.accessToken)
    expect(await again.get(pathOf`/rooms/${room}/event/${kept}`)).toMatchObject({ content: { body: 'words that stay' } }) // prettier-ignore
    expect(server.ctx.numbers.sealer.open(body, doomed)).toBeNull()
    // Nor does it start with the copy, which nothing can open.
    await copyFile(`${path}.old`, path)
    const { config } = server
    expect(await complaint(startServer({ config, logger: silentLogger, loops: [] }))).toMatch(/older copy/)
  })

  it('destroys at the next sweep what Vault did not let it destroy', async () => {
    server = await startTestServer({ loops: [], settings: inVault() })
    const alice = await register(server)
    const room = await alice.createRoom()
    const doomed = await alice.send(room, 'doomed words')
    const body = await bodyOf(server, doomed)
    await copyFile(path, `${path}.old`)
    await alice.redact(room, doomed)
    for (const step of ['rotate', 'config'] as const) {
      transit.decide = operation => (operation === step ? 'refuse' : 'pass')
      expect(await complaint(sweep(server.ctx))).toMatch(/internal error \(status 500\)/)
      expect(await deadSeals(server)).toBeGreaterThan(0)
    }
    // People talk on meanwhile.
    const since = await alice.send(room, 'still here')
    expect(await alice.event(room, since)).toMatchObject({ content: { body: 'still here' } })
    transit.decide = () => 'pass'
    await sweep(server.ctx)
    expect(await deadSeals(server)).toBe(0)
    expect(server.ctx.numbers.sealer.open(body, doomed)).toBeNull()
    expect(await complaint(createVaultStore(`${path}.old`, settings(), systemRandom).read())).toMatch(/older copy/)
  })

  it('does not start while Vault is away or refuses it', async () => {
    server = await startTestServer({ loops: [], settings: inVault() })
    const { database, config } = server
    transit.decide = () => 'refuse'
    expect(await complaint(startServer({ config, logger: silentLogger, loops: [] }))).toMatch(/status 500/)
    await transit.close()
    expect(await complaint(startServer({ config, logger: silentLogger, loops: [] }))).toMatch(/does not answer/)
    transit = await TransitServer.start()
    const wrong = await testConfig(folder, database.url, {
      sealing: { keyring: { path, vault: { url: transit.url, token: 'hvs.wrong' } } },
    })
    expect(await complaint(startServer({ config: wrong, logger: silentLogger, loops: [] }))).toMatch(/token is refused/)
  })
})

describe('the settings of a keyring in Vault', () => {
  it('let keys and tokens go in the clear to this machine alone', async () => {
    const withUrl = (url: string) => testConfig(folder, 'postgres://nobody@127.0.0.1/none', { sealing: { keyring: { vault: { url } } } }) // prettier-ignore
    for (const url of ['http://127.0.0.1:8200', 'http://localhost:8200', 'https://vault.example.org:8200/']) {
      expect((await withUrl(url)).sealing.keyring.vault?.key).toBe('lethe')
    }
    for (const url of ['http://vault.example.org:8200', 'http://10.0.0.1:8200', 'vault:8200', 'ftp://localhost']) {
      await expect(withUrl(url)).rejects.toThrow(/sealing\.keyring\.vault\.url/)
    }
  })

  it('do not show the token', async () => {
    const token = 'hvs.shown-to-nobody'
    const config = await testConfig(folder, 'postgres://nobody@127.0.0.1/none', {
      sealing: { keyring: { vault: { url: 'https://vault.example.org', token } } },
    })
    expect(config.sealing.keyring.vault?.token).toBe(token)
    expect(JSON.stringify(maskedConfig(config))).not.toContain(token)
  })
})
