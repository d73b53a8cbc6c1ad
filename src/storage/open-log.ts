import { CompiledQuery } from 'kysely'
import type pg from 'pg'
import { unavailable } from '../errors.ts'
import { describeError, type Logger } from '../log.ts'
import { type Database, DatabaseError, transaction, type Tx } from './database.ts'
import { answeredBefore } from './events.ts'
import { type Ephemeral, type Log } from './log.ts'
import { type Announcement, type AppendOutcome, type NewEvent, type RoomChange } from './log-changes.ts'
import { runFlight, type TextRows } from './flight.ts'
import { type LogEntry, type StoredEvent } from './log-entries.ts'
import { type FollowerOptions, LogFollower } from './log-follower.ts'
import { readHead } from './log-read.ts'
import {
  announcementStatements, lockedDevices, type NumberedAnnouncement, type Query, receiptsStatement,
} from './log-announcements.ts' // prettier-ignore
import { announcementLogRows, type Batch, batchStatements, type SealedChange, sealEvents, takePositions } from './log-write.ts' // prettier-ignore
import { type Numbers } from './numbers.ts'

/** The most entries that one transaction of the log carries. */
const batchLimit = 512
interface AppendJob extends SealedChange {
  readonly kind: 'append'
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

interface PositionRow {
  readonly position: number
}

/** Opens the log of a database: reads the head, starts to listen to other processes. */
export async function openLog(options: FollowerOptions): Promise<Log> {
  const follower = new LogFollower(options, await readHead(options.db))
  await follower.listen()
  return new GroupCommitLog(options, follower)
}

/** The committer of one process: gathers what arrives while one transaction is under way into the next one. */
class GroupCommitLog implements Log {
  readonly #db: Database
  readonly #numbers: Numbers
  readonly #logger: Logger
  readonly #processId: string
  readonly #follower: LogFollower

  readonly #queue: Job[] = []
  #flushing: Promise<void> | null = null
  #writer: pg.Client | null = null

  constructor(options: FollowerOptions, follower: LogFollower) {
    this.#db = options.db
    this.#numbers = options.numbers
    this.#logger = options.logger
    this.#processId = options.processId
    this.#follower = follower
  }

  get epoch(): string {
    return this.#follower.epochs.current
  }

  covers(epoch: string, position: number): boolean {
    return this.#follower.epochs.covers(epoch, position)
  }

  get head(): number {
    return this.#follower.head
  }

  // Writing ----------------------------------------------------------------------------------------------------------

  async append(change: RoomChange): Promise<AppendOutcome> {
    // No await before the push where it can be helped: changes of one room are queued in the order they were built.
    const announcements = change.announcements.length === 0 ? [] : await this.#number(change.announcements)
    const sealed = sealEvents(change, this.#numbers.sealer)
    return new Promise((resolve, reject) => {
      this.#queue.push({ kind: 'append', change, sealed, announcements, resolve, reject })
      this.#wake()
    })
  }

  async post(announcements: readonly Announcement[]): Promise<number> {
    if (announcements.length === 0) return this.#follower.head
    const numbered = await this.#number(announcements)
    return new Promise((resolve, reject) => {
      this.#queue.push({ kind: 'post', announcements: numbered, resolve, reject })
      this.#wake()
    })
  }

  async transact<T>(work: (tx: Tx, announce: (entry: Announcement) => void) => Promise<T>): Promise<T> {
    if (this.#db.lineage.isOver) throw unavailable()
    const outcome = await transaction(this.#db, async tx => {
      const announced: Announcement[] = []
      const result = await work(tx, entry => announced.push(entry))
      if (announced.length === 0) return { result, first: 0, numbered: [], moved: [] }
      const numbered = (await this.#number(announced)).map((entry, index) => ({ entry, offset: index + 1 }))
      const size = numbered.length
      const locks = lockedDevices(size, numbered.map(({ entry }) => entry)) // prettier-ignore
      if (locks) await run(tx, locks)
      const head = await run<PositionRow>(tx, takePositions(size, this.#processId))
      const rows = announcementLogRows(size, numbered)
      const moved: number[] = []
      for (const query of announcementStatements(size, numbered, this.#numbers.sealer)) {
        const written = await run<PositionRow>(tx, query)
        if (query.name === receiptsStatement) moved.push(...written.map(({ position }) => position))
      }
      if (rows) await run(tx, rows)
      return { result, first: (head[0]?.position ?? 0) - size + 1, numbered: numbered.map(({ entry }) => entry), moved }
    })
    if (outcome.numbered.length > 0) {
      this.#follower.publish(announcementEntries(outcome.first, outcome.numbered, outcome.moved))
      await this.#follower.applied(outcome.first + outcome.numbered.length - 1)
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
    const { queries, size, headIndex } = batchStatements(batch, this.#processId, this.#numbers.sealer)
    const { head, moved } = await this.#runTransaction(queries, headIndex)
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
    entries.push(...announcementEntries(first + entries.length, announced, moved))
    this.#follower.publish(entries)
    await this.#follower.applied(head)
    for (const answer of answers) answer()
  }

  /** Sends the statements in one flight; returns the head that the transaction took, and the receipts that it wrote. */
  async #runTransaction(
    queries: readonly Query[],
    headIndex: number,
  ): Promise<{ readonly head: number; readonly moved: readonly number[] }> {
    if (this.#db.lineage.isOver) throw new DatabaseError('CONNECTION', null, null)
    const client = (this.#writer ??= await this.#connect())
    let rows: readonly TextRows[]
    try {
      rows = await runFlight(client, queries)
    } catch (error) {
      if (error instanceof DatabaseError && error.isUnavailable) this.#dropWriter(client)
      throw error
    }
    // Both statements that are looked at return positions first.
    const positionsOf = (index: number): number[] => (rows[index] ?? []).map(([position]) => Number(position))
    const [head] = positionsOf(headIndex)
    if (head === undefined) throw new DatabaseError('UNKNOWN', null, 'log_head')
    return { head, moved: positionsOf(queries.findIndex(({ name }) => name === receiptsStatement)) }
  }

  /** A transaction failed: find out whose fault it was. When the connection is gone nobody can tell: all are refused. */
  async #settleOneByOne(jobs: readonly Job[], error: unknown): Promise<void> {
    if (error instanceof DatabaseError && error.isUnavailable) {
      this.#logger.warn('A commit was lost with its connection', { component: 'log', ...describeError(error) })
      for (const job of jobs) job.reject(unavailable())
      void this.#follower.catchUp()
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

  // Following --------------------------------------------------------------------------------------------------------

  subscribe(listener: (entries: readonly LogEntry[]) => void): () => void {
    return this.#follower.subscribe(listener)
  }

  reached(position: number, timeoutMs: number): Promise<boolean> {
    return this.#follower.reached(position, timeoutMs)
  }

  broadcast(message: Ephemeral): void {
    this.#follower.broadcast(message)
  }

  broadcastWith(tx: Tx, messages: readonly Ephemeral[]): Promise<void> {
    return this.#follower.broadcastWith(tx, messages)
  }

  get hearing(): number | null {
    return this.#follower.hearing
  }

  onBroadcast(listener: (message: Ephemeral) => void): () => void {
    return this.#follower.onBroadcast(listener)
  }

  // Connections ------------------------------------------------------------------------------------------------------

  async #connect(): Promise<pg.Client> {
    const client = await this.#db.connect()
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
    await this.#follower.close()
    await this.#writer?.end().catch(() => {
      // It was lost already.
    })
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
    selfDestructTs: event.selfDestructTs,
    snapshotNumber: event.snapshotNumber,
    redactedBy: null,
    transaction: event.transaction
      ? { deviceId: event.transaction.deviceId, transactionId: event.transaction.transactionId }
      : null,
  }
}

/** The entries of what was announced. A receipt that was not written, because another stands farther, tells nothing. */
function announcementEntries(
  first: number,
  announced: readonly NumberedAnnouncement[],
  moved: readonly number[],
): LogEntry[] {
  const written = new Set(moved)
  return announced.map(({ entry }, index) => {
    const position = first + index
    return entry.kind === 'receipt' && !written.has(position) ? { kind: 'gone', position } : { ...entry, position }
  })
}
