import { CompiledQuery } from 'kysely'
import type pg from 'pg'
import { type Clock, type Timer } from '../clock.ts'
import { unavailable } from '../errors.ts'
import { describeError, type Logger } from '../log.ts'
import { type Database, DatabaseError, openClient, transaction, type Tx } from './database.ts'
import { answeredBefore } from './events.ts'
import { type Ephemeral, type Log } from './log.ts'
import { type Announcement, type AppendOutcome, type NewEvent, type RoomChange } from './log-changes.ts'
import { type LogEntry, type StoredEvent } from './log-entries.ts'
import { readEntries, readHead } from './log-read.ts'
import {
  announcementLogRows, announcementStatements, type Batch, batchStatements,
  lockedDevices, type NumberedAnnouncement, type Query,
} from './log-write.ts' // prettier-ignore
import { type Numbers } from './numbers.ts'

/** The most entries that one transaction of the log carries. */
const batchLimit = 512
/** How often a process looks at the head by itself, in case a notification was lost. */
const pollIntervalMs = 5_000
/** How long to wait before connecting again after a connection was lost. */
const reconnectDelayMs = 250
/** The most entries read at once when catching up. */
const catchUpLimit = 2_000
/** Postgres refuses longer payloads. */
const broadcastLimitBytes = 7_900

interface AppendJob {
  readonly kind: 'append'
  readonly change: RoomChange
  readonly announcements: readonly NumberedAnnouncement[]
  readonly resolve: (outcome: AppendOutcome) => void
  readonly reject: (error: unknown) => void
}

interface PostJob {
  readonly kind: 'post'
  readonly announcements: readonly NumberedAnnouncement[]
  readonly resolve: (lastPosition: number) => void
  readonly reject: (error: unknown) => void
}

type Job = AppendJob | PostJob

export interface LogOptions {
  readonly db: Database
  readonly numbers: Numbers
  /** Timers of connections and polls: the machine's clock, in tests too. */
  readonly clock: Clock
  readonly logger: Logger
  /** From the `server` table. */
  readonly epoch: string
  /** Names this process among those that share the database. */
  readonly processId: string
}

/** Opens the log of a database: reads the head, starts to listen to other processes. */
export async function openLog(options: LogOptions): Promise<Log> {
  const log = new GroupCommitLog(options, await readHead(options.db))
  await log.listen()
  return log
}

class GroupCommitLog implements Log {
  readonly epoch: string
  readonly #db: Database
  readonly #numbers: Numbers
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #processId: string

  readonly #queue: Job[] = []
  #flushing: Promise<void> | null = null
  #writer: pg.Client | null = null
  #listener: pg.Client | null = null
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

  constructor(options: LogOptions, head: number) {
    this.#db = options.db
    this.#numbers = options.numbers
    this.#clock = options.clock
    this.#logger = options.logger
    this.#processId = options.processId
    this.epoch = options.epoch
    this.#head = head
  }

  get head(): number {
    return this.#head
  }

  // Writing ----------------------------------------------------------------------------------------------------------

  async append(change: RoomChange): Promise<AppendOutcome> {
    // No await before the push where it can be helped: changes of one room are queued in the order they were built.
    const announcements = change.announcements.length === 0 ? [] : await this.#number(change.announcements)
    return new Promise((resolve, reject) => {
      this.#queue.push({ kind: 'append', change, announcements, resolve, reject })
      this.#wake()
    })
  }

  async post(announcements: readonly Announcement[]): Promise<number> {
    if (announcements.length === 0) return this.#head
    const numbered = await this.#number(announcements)
    return new Promise((resolve, reject) => {
      this.#queue.push({ kind: 'post', announcements: numbered, resolve, reject })
      this.#wake()
    })
  }

  async transact<T>(work: (tx: Tx, announce: (entry: Announcement) => void) => Promise<T>): Promise<T> {
    const outcome = await transaction(this.#db, async tx => {
      const announced: Announcement[] = []
      const result = await work(tx, entry => announced.push(entry))
      if (announced.length === 0) return { result, first: 0, numbered: [] }
      const numbered = (await this.#number(announced)).map((entry, index) => ({ entry, offset: index + 1 }))
      const size = numbered.length
      const locks = lockedDevices(size, numbered.map(({ entry }) => entry)) // prettier-ignore
      if (locks) await run(tx, locks)
      const head = await run<{ position: number }>(tx, {
        name: 'log_take',
        text: 'UPDATE log_head SET position = position + $1 RETURNING position',
        values: [size],
      })
      const rows = announcementLogRows(size, numbered)
      for (const query of announcementStatements(size, numbered)) await run(tx, query)
      if (rows) await run(tx, rows)
      await run(tx, notification(this.#processId))
      return { result, first: (head[0]?.position ?? 0) - size + 1, numbered: numbered.map(({ entry }) => entry) }
    })
    if (outcome.numbered.length > 0) {
      this.#publish(announcementEntries(outcome.first, outcome.numbered))
      await this.#applied(outcome.first + outcome.numbered.length - 1)
    }
    return outcome.result
  }

  #wake(): void {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = null
      if (this.#queue.length > 0) this.#wake()
    })
  }

  async #flush(): Promise<void> {
    // The rest of this turn of the event loop may queue more: they share the transaction.
    await new Promise(setImmediate)
    while (this.#queue.length > 0) {
      const jobs = this.#take()
      try {
        await this.#commit(jobs)
      } catch (error) {
        await this.#settleOneByOne(jobs, error)
      }
    }
  }

  /** The next jobs for one transaction. A change that was not built on the one before it in its room waits. */
  #take(): Job[] {
    let size = 0
    let count = 0
    for (const job of this.#queue) {
      size += job.announcements.length + (job.kind === 'append' ? job.change.events.length : 0)
      if (count > 0 && size > batchLimit) break
      count++
    }
    const taken = this.#queue.splice(0, count)
    const versions = new Map<number, number>()
    return taken.filter(job => {
      if (job.kind === 'post') return true
      const { roomNumber, expectedVersion, head } = job.change
      const version = versions.get(roomNumber)
      if (version !== undefined && version !== expectedVersion) {
        job.resolve({ outcome: 'moved' })
        return false
      }
      versions.set(roomNumber, head.version)
      return true
    })
  }

  async #commit(jobs: readonly Job[]): Promise<void> {
    const appends = jobs.filter(job => job.kind === 'append')
    const posts = jobs.filter(job => job.kind === 'post')
    if (appends.length + posts.length === 0) return
    const batch: Batch = { changes: appends, announcements: posts.flatMap(job => job.announcements) }
    const { queries, size, headIndex } = batchStatements(batch, this.#processId)
    const head = await this.#runTransaction(queries, headIndex)
    const first = head - size + 1

    // The same order as the statements': all events, then the announcements of the changes, then those of the posts.
    const entries: LogEntry[] = []
    const answers: (() => void)[] = []
    const announced: NumberedAnnouncement[] = []
    for (const { change, resolve } of appends) {
      const stored = change.events.map(event => {
        const position = event.placement === 'timeline' ? first + entries.length : null
        const kept = storedFrom(event, change.roomNumber, position)
        if (position !== null) {
          entries.push({
            kind: 'event',
            position,
            roomId: change.roomId,
            stored: { ...kept, position },
            stateChanges: event.stateChanges.map(({ type, stateKey, event: holder, replaced }) => ({
              type,
              stateKey,
              // The change may be of this very event, whose position is known only now.
              event: holder?.eventNumber === event.eventNumber ? kept : holder,
              replaced,
            })),
            pruned: event.prunes.map(({ eventNumber, eventId }) => ({ eventNumber, eventId })),
          })
        }
        return kept
      })
      answers.push(() => resolve({ outcome: 'committed', stored }))
    }
    for (const { announcements } of appends) announced.push(...announcements)
    for (const { announcements, resolve } of posts) {
      announced.push(...announcements)
      const last = first + entries.length + announced.length - 1
      answers.push(() => resolve(last))
    }
    entries.push(...announcementEntries(first + entries.length, announced))
    this.#publish(entries)
    await this.#applied(head)
    for (const answer of answers) answer()
  }

  /** Sends BEGIN, the statements and COMMIT in one flight; returns the head that the transaction took. */
  async #runTransaction(queries: readonly Query[], headIndex: number): Promise<number> {
    const client = (this.#writer ??= await this.#connect())
    const flight = [client.query('BEGIN'), ...queries.map(query => client.query(query)), client.query('COMMIT')]
    const settled = await Promise.allSettled(flight)
    const failure = settled.find(result => result.status === 'rejected')
    if (failure) {
      const error: unknown = failure.reason
      if (error instanceof DatabaseError && error.isUnavailable) this.#dropWriter(client)
      throw error
    }
    const commit = settled.at(-1)
    if (commit?.status !== 'fulfilled' || commit.value.command !== 'COMMIT')
      throw new DatabaseError('25P02', null, null)
    const taken = settled[headIndex + 1]
    // The statement at this place returns the one row of log_head.
    const row = taken?.status === 'fulfilled' ? (taken.value.rows[0] as { position: number } | undefined) : undefined
    if (!row) throw new DatabaseError('UNKNOWN', null, 'log_head')
    return row.position
  }

  /** A transaction failed: find out whose fault it was. When the connection is gone nobody can tell: all are refused. */
  async #settleOneByOne(jobs: readonly Job[], error: unknown): Promise<void> {
    if (error instanceof DatabaseError && error.isUnavailable) {
      this.#logger.warn('A commit was lost with its connection', { component: 'log', ...describeError(error) })
      for (const job of jobs) job.reject(unavailable())
      void this.#catchUp()
      return
    }
    for (const job of jobs) {
      try {
        if (jobs.length === 1) throw error
        await this.#commit([job])
      } catch (reason) {
        await this.#refuse(job, reason)
      }
    }
  }

  async #refuse(job: Job, reason: unknown): Promise<void> {
    if (job.kind === 'append' && reason instanceof DatabaseError) {
      if (reason.code === 'LT001') return job.resolve({ outcome: 'moved' })
      if (reason.isUniqueViolation('transactions_pkey')) {
        const eventId = await this.#repeatedEvent(job.change)
        if (eventId) return job.resolve({ outcome: 'repeated', eventId })
      }
    }
    job.reject(reason instanceof DatabaseError && reason.isUnavailable ? unavailable() : reason)
  }

  async #repeatedEvent(change: RoomChange) {
    for (const { transaction: key } of change.events) {
      if (!key) continue
      const eventId = await answeredBefore(this.#db.kysely, key.requestHash)
      if (eventId) return eventId
    }
    return null
  }

  async #number(announcements: readonly Announcement[]): Promise<NumberedAnnouncement[]> {
    const named = announcements.flatMap(entry => [
      ...('userId' in entry ? [entry.userId] : []),
      ...('sender' in entry ? [entry.sender] : []),
    ])
    const users = await this.#numbers.users(named)
    return Promise.all(
      announcements.map(async entry => ({
        entry,
        userNumber: 'userId' in entry ? (users.get(entry.userId) ?? null) : null,
        roomNumber: 'roomId' in entry && entry.roomId !== null ? await this.#roomNumber(entry.roomId) : null,
        senderNumber: 'sender' in entry ? (users.get(entry.sender) ?? null) : null,
      })),
    )
  }

  async #roomNumber(roomId: Parameters<Numbers['room']>[0]): Promise<number> {
    const room = await this.#numbers.room(roomId)
    if (!room) throw new Error('An announcement names a room that does not exist')
    return room.roomNumber
  }

  // Publishing -------------------------------------------------------------------------------------------------------

  /** Takes entries that are committed; gives them to the subscribers when all before them have been given. */
  #publish(entries: readonly LogEntry[]): void {
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
  async #applied(position: number): Promise<void> {
    while (this.#head < position && !this.#closed) {
      await this.#catchUp()
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
    const client = await this.#connectListener()
    client.on('notification', ({ channel, payload = '' }) => this.#notified(channel, payload))
    await client.query('LISTEN lethe_log')
    await client.query('LISTEN lethe_ephemeral')
    this.#listener = client
    this.#schedulePoll()
    await this.#catchUp()
  }

  async #connectListener(): Promise<pg.Client> {
    const client = await openClient(this.#db.connection, this.#logger)
    client.once('end', () => {
      if (this.#listener === client) this.#listener = null
      void this.#listenAgain()
    })
    return client
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
      if (rest !== this.#processId && Number(first) > this.#head) void this.#catchUp()
    } else if (first !== this.#processId) {
      const kind = rest.startsWith('typing ') ? 'typing' : rest.startsWith('presence ') ? 'presence' : null
      if (kind) this.#tellBroadcast({ kind, payload: rest.slice(kind.length + 1) })
    }
  }

  #schedulePoll(): void {
    this.#poll?.clear()
    if (this.#closed) return
    this.#poll = this.#clock.setTimeout(() => {
      void this.#catchUp().finally(() => this.#schedulePoll())
    }, pollIntervalMs)
  }

  /** Reads what is committed and not yet applied. One reading at a time; a call during one makes it look again. */
  #catchUp(): Promise<void> {
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
        for (let target = await readHead(this.#db); this.#head < target && !this.#closed;) {
          const upTo = Math.min(target, this.#head + catchUpLimit)
          this.#publish(await readEntries(this.#db, this.#numbers, this.#head, upTo))
        }
      } while (this.#catchUpAgain && !this.#closed)
    } catch (error) {
      if (!this.#closed) this.#logger.warn('Cannot read the log', { component: 'log', ...describeError(error) })
    }
  }

  broadcast(message: Ephemeral): void {
    this.#tellBroadcast(message)
    const payload = `${this.#processId} ${message.kind} ${message.payload}`
    if (Buffer.byteLength(payload) > broadcastLimitBytes) return
    this.#db.pool
      .query({ name: 'log_broadcast', text: `SELECT pg_notify('lethe_ephemeral', $1)`, values: [payload] })
      .catch((error: unknown) => {
        if (!this.#closed) this.#logger.debug('A broadcast was lost', { component: 'log', ...describeError(error) })
      })
  }

  #tellBroadcast(message: Ephemeral): void {
    for (const listener of this.#broadcastListeners) listener(message)
  }

  onBroadcast(listener: (message: Ephemeral) => void): () => void {
    this.#broadcastListeners.add(listener)
    return () => this.#broadcastListeners.delete(listener)
  }

  // Connections ------------------------------------------------------------------------------------------------------

  async #connect(): Promise<pg.Client> {
    const client = await openClient(this.#db.connection, this.#logger, { pipeline: true })
    client.once('end', () => {
      if (this.#writer === client) this.#writer = null
    })
    return client
  }

  #dropWriter(client: pg.Client): void {
    if (this.#writer === client) this.#writer = null
    client.end().catch(() => {
      // It is lost already: that is why it is dropped.
    })
  }

  async close(): Promise<void> {
    while (this.#flushing) await this.#flushing
    this.#closed = true
    this.#poll?.clear()
    for (const waiter of this.#waiting.splice(0)) {
      waiter.timer.clear()
      waiter.resolve(false)
    }
    await this.#catchingUp
    await Promise.allSettled([this.#writer?.end(), this.#listener?.end()])
  }
}

function notification(processId: string): Query {
  return {
    name: 'log_notify',
    text: `SELECT pg_notify('lethe_log', (SELECT position FROM log_head) || ' ' || $1)`,
    values: [processId],
  }
}

async function run<Row>(tx: Tx, query: Query): Promise<Row[]> {
  const { rows } = await tx.getExecutor().executeQuery<Row>(CompiledQuery.raw(query.text, query.values))
  return rows
}

function storedFrom(event: NewEvent, roomNumber: number, position: number | null): StoredEvent {
  return {
    eventNumber: event.eventNumber,
    roomNumber,
    position,
    event: event.event,
    flags: event.flags,
    ageTs: event.ageTs,
    snapshotNumber: event.snapshotNumber,
    redactedBy: null,
    transaction: event.transaction
      ? { deviceId: event.transaction.deviceId, transactionId: event.transaction.transactionId }
      : null,
  }
}

function announcementEntries(first: number, announced: readonly NumberedAnnouncement[]): LogEntry[] {
  return announced.map(({ entry }, index) => ({ ...entry, position: first + index }))
}
