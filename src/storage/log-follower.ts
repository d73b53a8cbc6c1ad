import { CompiledQuery } from 'kysely'
import type pg from 'pg'
import { type Clock, type Timer } from '../clock.ts'
import { describeError, type Logger } from '../log.ts'
import { type Database, DatabaseError, type Tx } from './database.ts'
import { type Ephemeral, ephemeralKinds } from './log.ts'
import { type LogEntry } from './log-entries.ts'
import { enterEpoch, type Epochs, rejoinEpoch } from './log-epochs.ts'
import { readEntries, readHead } from './log-read.ts'
import { type Numbers } from './numbers.ts'

/** How often a process looks at the head by itself, in case a notification was lost. */
const pollIntervalMs = 5_000
/** How long to wait before connecting again after a connection was lost. */
const reconnectDelayMs = 250
/** The most entries read at once when catching up. */
const catchUpLimit = 2_000
/** Postgres refuses longer payloads. */
const broadcastLimitBytes = 7_900

const broadcastText = `SELECT pg_notify('lethe_ephemeral', payload) FROM unnest($1::text[]) AS payload`

export interface FollowerOptions {
  readonly db: Database
  readonly numbers: Numbers
  /** Timers of connections and polls: the machine's clock, in tests too. */
  readonly clock: Clock
  readonly logger: Logger
  /** Names this process among those that share the database. */
  readonly processId: string
  /** The name of the epoch that this process begins if it is the first. */
  readonly newEpoch: string
}

/**
 * One process's view of the log: what is committed, by this process or by others, given to the subscribers in order and
 * without gaps. Own commits are published by the committer; those of others are announced by NOTIFY and read.
 */
export class LogFollower {
  readonly #db: Database
  readonly #numbers: Numbers
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #processId: string
  readonly #newEpoch: string

  #epochs: Epochs | null = null
  #listener: pg.Client | null = null
  #connections = 0
  #poll: Timer | null = null
  #closed = false

  #head: number
  /** Runs of entries that are committed but not yet next in line, by their first position. */
  readonly #early = new Map<number, readonly LogEntry[]>()
  #catchingUp: Promise<void> | null = null
  #catchUpAgain = false
  readonly #subscribers = new Set<(entries: readonly LogEntry[]) => void>()
  readonly #broadcastListeners = new Set<(message: Ephemeral) => void>()
  #waiting: { position: number; resolve: (reached: boolean) => void; timer: Timer }[] = []

  constructor(options: FollowerOptions, head: number) {
    this.#db = options.db
    this.#numbers = options.numbers
    this.#clock = options.clock
    this.#logger = options.logger
    this.#processId = options.processId
    this.#newEpoch = options.newEpoch
    this.#head = head
  }

  /** Throws before the first `listen`. */
  get epochs(): Epochs {
    if (this.#epochs === null) throw new Error('The log is not open')
    return this.#epochs
  }

  /** Names the connection on which others are heard; `null` while there is none. */
  get hearing(): number | null {
    return this.#listener === null ? null : this.#connections
  }

  /** The newest position that has been given to the subscribers. */
  get head(): number {
    return this.#head
  }

  /** Takes entries that are committed; gives them to the subscribers when all before them have been given. */
  publish(entries: readonly LogEntry[]): void {
    const first = entries[0]
    if (!first) return
    if (first.position > this.#head + 1) {
      this.#early.set(first.position, entries)
      return
    }
    this.#apply(entries)
    for (;;) {
      const next = this.#early.get(this.#head + 1)
      if (!next) break
      this.#apply(next)
    }
    for (const position of this.#early.keys()) if (position <= this.#head) this.#early.delete(position)
    this.#wakeWaiting()
  }

  #apply(entries: readonly LogEntry[]): void {
    const fresh = entries.filter(entry => entry.position > this.#head)
    const last = fresh.at(-1)
    if (!last) return
    this.#head = last.position
    for (const subscriber of this.#subscribers) {
      try {
        subscriber(fresh)
      } catch (error) {
        this.#logger.error('A subscriber of the log failed', { component: 'log', ...describeError(error) })
      }
    }
  }

  #wakeWaiting(): void {
    if (this.#waiting.length === 0) return
    const reached = this.#waiting.filter(waiter => waiter.position <= this.#head)
    this.#waiting = this.#waiting.filter(waiter => waiter.position > this.#head)
    for (const waiter of reached) {
      waiter.timer.clear()
      waiter.resolve(true)
    }
  }

  /** Waits until an entry of our own is applied: another's, before it, may have to be read first. */
  async applied(position: number): Promise<void> {
    while (this.#head < position && !this.#closed) {
      await this.catchUp()
      if (this.#head < position) await this.reached(position, 50)
    }
  }

  reached(position: number, timeoutMs: number): Promise<boolean> {
    if (this.#head >= position) return Promise.resolve(true)
    return new Promise(resolve => {
      const timer = this.#clock.setTimeout(() => {
        this.#waiting = this.#waiting.filter(waiter => waiter.resolve !== resolve)
        resolve(this.#head >= position)
      }, timeoutMs)
      this.#waiting.push({ position, resolve, timer })
    })
  }

  subscribe(listener: (entries: readonly LogEntry[]) => void): () => void {
    this.#subscribers.add(listener)
    return () => this.#subscribers.delete(listener)
  }

  // Other processes --------------------------------------------------------------------------------------------------

  /** Listens to what other processes commit and broadcast; on a lost connection, again and again. */
  async listen(): Promise<void> {
    const client = await this.#db.connect()
    let isLost = false
    client.once('end', () => {
      isLost = true
      if (this.#listener !== client) return
      this.#listener = null
      void this.#listenAgain()
    })
    try {
      this.#epochs = await this.#joinOthers(client)
      client.on('notification', ({ channel, payload = '' }) => this.#notified(channel, payload))
      await client.query('LISTEN lethe_log')
      await client.query('LISTEN lethe_ephemeral')
      if (isLost) throw new DatabaseError('CONNECTION', null, null)
    } catch (error) {
      await client.end().catch(() => {
        // It was lost already: that may be why we are here.
      })
      throw error
    }
    this.#listener = client
    this.#connections++
    this.#schedulePoll()
    await this.catchUp()
  }

  async #joinOthers(client: pg.Client): Promise<Epochs> {
    if (this.#epochs !== null) return rejoinEpoch(client)
    return enterEpoch(client, await this.#db.lineage.begin(client), this.#newEpoch)
  }

  async #listenAgain(): Promise<void> {
    while (!this.#closed && this.#listener === null) {
      await this.#clock.sleep(reconnectDelayMs)
      if (this.#closed) return
      try {
        await this.listen()
      } catch (error) {
        this.#logger.warn('Cannot listen to the database', { component: 'log', ...describeError(error) })
      }
    }
  }

  #notified(channel: string, payload: string): void {
    const space = payload.indexOf(' ')
    const [first, rest] = [payload.slice(0, space), payload.slice(space + 1)]
    if (channel === 'lethe_log') {
      if (rest !== this.#processId && Number(first) > this.#head) void this.catchUp()
    } else if (first !== this.#processId) {
      const kind = ephemeralKinds.find(each => rest.startsWith(`${each} `))
      if (kind) this.#tellBroadcast({ kind, payload: rest.slice(kind.length + 1) })
    }
  }

  #schedulePoll(): void {
    this.#poll?.clear()
    if (this.#closed) return
    this.#poll = this.#clock.setTimeout(() => {
      // Who only listens does not find out that nobody is there any more: a question that is not answered ends the connection.
      this.#listener?.query('SELECT').catch(() => {
        // `end` follows, and listens again.
      })
      void this.catchUp().finally(() => this.#schedulePoll())
    }, pollIntervalMs)
  }

  /** Reads what is committed and not yet applied. One reading at a time; a call during one makes it look again. */
  catchUp(): Promise<void> {
    if (this.#catchingUp) {
      this.#catchUpAgain = true
      return this.#catchingUp
    }
    this.#catchingUp = this.#readOn().finally(() => {
      this.#catchingUp = null
    })
    return this.#catchingUp
  }

  async #readOn(): Promise<void> {
    try {
      do {
        this.#catchUpAgain = false
        const seen = this.#head
        const target = await readHead(this.#db)
        // Positions that were given out are gone.
        if (target < seen) this.#db.lineage.end()
        while (this.#head < target && !this.#closed) {
          const upTo = Math.min(target, this.#head + catchUpLimit)
          this.publish(await readEntries(this.#db, this.#numbers, this.#head, upTo))
        }
      } while (this.#catchUpAgain && !this.#closed)
    } catch (error) {
      if (!this.#closed) this.#logger.warn('Cannot read the log', { component: 'log', ...describeError(error) })
    }
  }

  broadcast(message: Ephemeral): void {
    this.#tellBroadcast(message)
    const payload = this.#payloadOf(message)
    if (Buffer.byteLength(payload) > broadcastLimitBytes) return
    this.#db.pool.query({ name: 'log_broadcast', text: broadcastText, values: [[payload]] }).catch((error: unknown) => {
      if (!this.#closed) this.#logger.debug('A broadcast was lost', { component: 'log', ...describeError(error) })
    })
  }

  /** Tells the others when a transaction commits. */
  async broadcastWith(tx: Tx, messages: readonly Ephemeral[]): Promise<void> {
    const payloads = messages.map(message => this.#payloadOf(message))
    await tx.getExecutor().executeQuery(CompiledQuery.raw(broadcastText, [payloads]))
  }

  #payloadOf({ kind, payload }: Ephemeral): string {
    return `${this.#processId} ${kind} ${payload}`
  }

  #tellBroadcast(message: Ephemeral): void {
    for (const listener of this.#broadcastListeners) listener(message)
  }

  onBroadcast(listener: (message: Ephemeral) => void): () => void {
    this.#broadcastListeners.add(listener)
    return () => this.#broadcastListeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#poll?.clear()
    for (const waiter of this.#waiting.splice(0)) {
      waiter.timer.clear()
      waiter.resolve(false)
    }
    await this.#catchingUp
    await this.#listener?.end().catch(() => {
      // It was lost already.
    })
  }
}
