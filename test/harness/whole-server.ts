import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Context } from '../../src/context.ts'
import { createLogger } from '../../src/log.ts'
import { type RunningServer, startServer } from '../../src/server.ts'
import { TestClock } from './clock.ts'
import { testConfig, type TestSettings } from './server.ts'

/** With owners and modes, as a backup has them: Postgres does not run as the one who copies. */
async function copy(from: string, to: string): Promise<void> {
  await promisify(execFile)('cp', ['-a', from, to])
}

/** A server as newcomers start it, with a Postgres and a folder of its own: what it leaves on the disk can be looked at. */
export class WholeServer {
  readonly clock: TestClock
  readonly log: string[] = []
  readonly folder: string
  readonly #settings: TestSettings
  #running: RunningServer | null = null

  private constructor(folder: string, settings: TestSettings, clock: TestClock) {
    this.folder = folder
    this.#settings = settings
    this.clock = clock
  }

  static async start(settings: TestSettings = {}): Promise<WholeServer> {
    const server = new WholeServer(await mkdtemp(join(tmpdir(), 'lethe-whole-')), settings, new TestClock())
    await server.resume()
    return server
  }

  get url(): string {
    return this.#up.url
  }

  get ctx(): Context {
    return this.#up.ctx
  }

  get #up(): RunningServer {
    if (!this.#running) throw new Error('the server is not running')
    return this.#running
  }

  async resume(): Promise<void> {
    const config = await testConfig(this.folder, '', { ...this.#settings, database: { url: null, pool_size: 4 } })
    const logger = createLogger('debug', { write: line => this.log.push(line) })
    this.#running = await startServer({ config, clock: this.clock, logger, loops: [] })
  }

  async stop(): Promise<void> {
    await this.#running?.close()
    this.#running = null
  }

  /** Stops it, copies its whole folder, and starts it again. */
  async backUp(): Promise<Backup> {
    await this.stop()
    const folder = await mkdtemp(join(tmpdir(), 'lethe-backup-'))
    await copy(`${this.folder}/.`, folder)
    await this.resume()
    return new Backup(folder, this)
  }

  /** For `Backup`. */
  static async startIn(folder: string, origin: WholeServer): Promise<WholeServer> {
    const server = new WholeServer(folder, origin.#settings, origin.clock)
    await server.resume()
    return server
  }

  async remove(): Promise<void> {
    await this.stop()
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** A copy of a server's folder from some time ago. */
export class Backup {
  readonly #folder: string
  readonly #origin: WholeServer

  constructor(folder: string, origin: WholeServer) {
    this.#folder = folder
    this.#origin = origin
  }

  /** Starts a server on a copy of the backup: with the keyring as it is now, or with that of the backup. */
  async restore(keyring: 'current' | 'of the backup'): Promise<WholeServer> {
    const folder = await mkdtemp(join(tmpdir(), 'lethe-restored-'))
    await copy(`${this.#folder}/.`, folder)
    if (keyring === 'current') await copy(join(this.#origin.folder, 'keyring'), folder)
    return WholeServer.startIn(folder, this.#origin)
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }
}
