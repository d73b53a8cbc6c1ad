import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Databases } from './databases.ts'
import { clientPort, HomeserverProcess } from './homeserver-process.ts'

/** The most homeservers that one deployment may hold. */
export const maximumServers = 8

const maximumDeployments = 250

/** What all deployments of a run have in common. */
export interface DeploymentsSettings {
  /** The program and arguments that start a homeserver. */
  readonly command: readonly string[]
  /** Where that program starts. */
  readonly workingDirectory: string
  /** Where logs are written; they outlive the run. */
  readonly logDirectory: string
  /** A Postgres server on which each homeserver gets a database; null lets each homeserver bring its own. */
  readonly databaseUrl: string | null
  /** True hands the same servers to every caller and keeps them between tests; false starts new ones each time. */
  readonly reuse: boolean
}

/** Some homeservers (`hs1`, `hs2`, …) that know nothing of those in other deployments. */
export interface Deployment {
  readonly id: string
  /** By server name. A shared deployment grows when a caller asks for more. */
  readonly servers: ReadonlyMap<string, HomeserverProcess>
}

interface OwnedDeployment extends Deployment {
  readonly servers: Map<string, HomeserverProcess>
  readonly isShared: boolean
  readonly network: number
}

/** Starts and ends the homeservers of a run. Calls wait for each other, so callers need no order of their own. */
export class Deployments {
  readonly #settings: DeploymentsSettings
  readonly #databases: Databases | null
  readonly #deployments = new Map<string, OwnedDeployment>()
  #directory: string | null = null
  #queue: Promise<void> = Promise.resolve()
  #count = 0

  constructor(settings: DeploymentsSettings) {
    this.#settings = settings
    this.#databases =
      settings.databaseUrl === null ? null : new Databases(settings.databaseUrl, `conformance_${process.pid}`)
  }

  /** Returns a deployment of at least `servers` ready homeservers: the shared one, mended and grown as needed, or a new
   *  one. Throws RangeError for a number outside 1…8, and Error when a homeserver does not become ready. */
  deploy(servers: number): Promise<Deployment> {
    if (!Number.isSafeInteger(servers) || servers < 1 || servers > maximumServers) {
      throw new RangeError(`a deployment holds 1 to ${maximumServers} servers`)
    }
    return this.#exclusively(async () => {
      const shared = [...this.#deployments.values()].find(deployment => deployment.isShared)
      const deployment = shared ?? (await this.#create())
      try {
        await this.#fill(deployment, servers)
      } catch (error) {
        await this.#end(deployment)
        throw error
      }
      return deployment
    })
  }

  /** The deployment of that ID, or null. */
  find(id: string): Deployment | null {
    return this.#deployments.get(id) ?? null
  }

  /** Stops and starts every homeserver of the deployment, on the same data and addresses. */
  restart(deployment: Deployment): Promise<void> {
    return this.#exclusively(async () => {
      await Promise.all([...deployment.servers.values()].map(server => server.restart()))
    })
  }

  /** Runs one action on one homeserver after all earlier calls. */
  control(server: HomeserverProcess, action: 'start' | 'stop' | 'pause' | 'unpause'): Promise<void> {
    return this.#exclusively(async () => {
      await server[action]()
    })
  }

  /** Ends a deployment that its caller no longer needs. A shared one stays for the next caller. */
  release(deployment: Deployment): Promise<void> {
    return this.#exclusively(async () => {
      const owned = this.#deployments.get(deployment.id)
      if (owned !== undefined && !owned.isShared) await this.#end(owned)
    })
  }

  /** Ends every deployment, shared ones too, and removes their files and databases; logs stay. The object can be used
   *  again afterwards. */
  endAll(): Promise<void> {
    return this.#exclusively(async () => {
      await Promise.all([...this.#deployments.values()].map(deployment => this.#end(deployment)))
      await this.#databases?.dropAll()
      const directory = this.#directory
      this.#directory = null
      if (directory !== null) await rm(directory, { recursive: true, force: true })
    })
  }

  #exclusively<Result>(action: () => Promise<Result>): Promise<Result> {
    const result = this.#queue.then(action)
    // The queue only keeps order; whoever called receives the failure through `result`.
    this.#queue = result.then(
      () => undefined,
      () => undefined,
    )
    return result
  }

  async #create(): Promise<OwnedDeployment> {
    const used = new Set([...this.#deployments.values()].map(deployment => deployment.network))
    const network = await freeNetwork(used)
    this.#count += 1
    const id = `deployment-${this.#count}`
    const deployment: OwnedDeployment = { id, servers: new Map(), isShared: this.#settings.reuse, network }
    this.#deployments.set(id, deployment)
    return deployment
  }

  async #fill(deployment: OwnedDeployment, servers: number): Promise<void> {
    this.#directory ??= await mkdtemp(join(tmpdir(), 'lethe-conformance-'))
    const starting: Promise<void>[] = []
    for (const server of deployment.servers.values()) {
      if (!server.isRunning) starting.push(server.start())
    }
    for (let number = deployment.servers.size + 1; number <= servers; number += 1) {
      const serverName = `hs${number}`
      const server = new HomeserverProcess({
        serverName,
        address: addressOf(deployment.network, number),
        dataDirectory: join(this.#directory, deployment.id, serverName),
        logFile: join(this.#settings.logDirectory, `${deployment.id}-${serverName}.log`),
        databaseUrl: this.#databases === null ? null : await this.#databases.create(),
        command: this.#settings.command,
        workingDirectory: this.#settings.workingDirectory,
      })
      deployment.servers.set(serverName, server)
      starting.push(server.start())
    }
    const failures = (await Promise.allSettled(starting)).filter(outcome => outcome.status === 'rejected')
    if (failures[0] !== undefined) throw failures[0].reason
  }

  async #end(deployment: OwnedDeployment): Promise<void> {
    this.#deployments.delete(deployment.id)
    await Promise.all([...deployment.servers.values()].map(server => server.stop()))
    if (this.#directory !== null) {
      await rm(join(this.#directory, deployment.id), { recursive: true, force: true })
    }
  }
}

function addressOf(network: number, server: number): string {
  return `127.${80 + Math.floor(network / 250)}.${1 + (network % 250)}.${server}`
}

/** A number of a loopback network whose first address has nobody on the client port. Runs at the same time start their
 *  search at different places. */
async function freeNetwork(used: ReadonlySet<number>): Promise<number> {
  const networks = 100 * 250
  const first = (process.pid * 97) % networks
  for (let step = 0; step < maximumDeployments; step += 1) {
    const network = (first + step) % networks
    if (!used.has(network) && (await isFree(addressOf(network, 1)))) return network
  }
  throw new Error('no loopback address is free for another deployment')
}

function isFree(address: string): Promise<boolean> {
  return new Promise(resolve => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ host: address, port: clientPort, exclusive: true }, () => probe.close(() => resolve(true)))
  })
}
