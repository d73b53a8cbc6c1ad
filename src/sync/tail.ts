import { type RoomId, type UserId } from '../protocol/identifiers.ts'
import { memoryOf } from '../protocol/json-memory.ts'
import { type EventEntry, type LogEntry, type ReceiptEntry, type StoredEvent } from '../storage/log-entries.ts'

/** An entry of one kind, with its place in the log. */
export type Placed<Kind extends LogEntry['kind']> = Extract<LogEntry, { kind: Kind }>

/** What concerns one user: their account data, to-device messages, memberships, devices, tokens. */
export type UserNews = Placed<'account_data'> | Placed<'to_device'> | Placed<'event'> | Placed<'device_list'>

interface RoomTail {
  readonly events: (EventEntry & { readonly position: number })[]
  readonly receipts: (ReceiptEntry & { readonly position: number })[]
}

/** How much of the log is kept decoded, in bytes as estimated by `memoryOf`. */
const ringLimitBytes = 64 * 1024 * 1024
/** What an entry costs beside its JSON: objects, indexes, the text that is made of it. */
const entryOverheadBytes = 1_500

function costOf(entry: LogEntry): number {
  if (entry.kind === 'event') return entryOverheadBytes + memoryOf(entry.stored.event.pdu)
  if (entry.kind === 'account_data' || entry.kind === 'to_device') return entryOverheadBytes / 3 + entry.content.length
  return entry.kind === 'gone' ? 16 : entryOverheadBytes / 3
}

/** The part of a list, ordered by position, that lies after one position up to another. */
export function within<T extends { readonly position: number }>(list: readonly T[], after: number, upTo: number): T[] {
  const start = firstAfter(list, after)
  const end = firstAfter(list, upTo)
  return list.slice(start, end)
}

function firstAfter(list: readonly { readonly position: number }[], position: number): number {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((list[middle]?.position ?? Infinity) > position) high = middle
    else low = middle + 1
  }
  return low
}

const none: readonly never[] = []

/**
 * The newest part of the log in memory: a ring bounded in bytes, with an index by room and by user, so that what happened
 * since a recent position is known without asking the database.
 */
export class Tail {
  /** Every entry after this position is here. */
  floor: number
  head: number
  readonly #entries: (LogEntry | undefined)[] = []
  readonly #costs: number[] = []
  /** Where the ring begins in `#entries`: what stands before it is dropped now and then. */
  #start = 0
  #bytes = 0
  readonly #rooms = new Map<RoomId, RoomTail>()
  readonly #users = new Map<UserId, UserNews[]>()
  readonly #deviceLists: Placed<'device_list'>[] = []
  /** By room, where the newest entry stands that says that things of it were deleted: what was said before is asked of the database. */
  readonly #roomFloors = new Map<RoomId, number>()
  /** Events that were pruned lately, by number: entries older than the redaction show them as they were. */
  readonly #pruned = new Map<number, { readonly by: StoredEvent; readonly position: number }>()
  readonly #limitBytes: number

  constructor(head: number, limitBytes = ringLimitBytes) {
    this.floor = head
    this.head = head
    this.#limitBytes = limitBytes
  }

  /** True if everything after `position` is here. */
  covers(position: number): boolean {
    return position >= this.floor
  }

  /** True if everything of a room after `position` is here, as it stands by now. */
  coversRoom(roomId: RoomId, position: number): boolean {
    return this.covers(position) && position >= (this.#roomFloors.get(roomId) ?? this.floor)
  }

  /** Adds the next entries of the log. */
  add(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      this.head = entry.position
      const cost = costOf(entry)
      this.#entries.push(entry)
      this.#costs.push(cost)
      this.#bytes += cost
      this.#index(entry)
    }
    while (this.#bytes > this.#limitBytes && this.#start < this.#entries.length - 1) this.#drop()
    if (this.#start > 10_000 && this.#start > this.#entries.length / 2) {
      this.#entries.splice(0, this.#start)
      this.#costs.splice(0, this.#start)
      this.#start = 0
    }
  }

  /** Forgets everything up to now: what was said before is read from the database again, as it stands there. */
  forget(): void {
    while (this.#start < this.#entries.length) this.#drop()
  }

  /** The entries after a position, oldest first. */
  *entriesAfter(position: number): IterableIterator<LogEntry> {
    for (let index = this.#start + Math.max(0, position - this.floor); index < this.#entries.length; index++) {
      const entry = this.#entries[index]
      if (entry) yield entry
    }
  }

  /** The position of the newest event or receipt of a room; `null` if the ring has none. */
  lastOf(roomId: RoomId): number | null {
    const room = this.#rooms.get(roomId)
    if (!room) return null
    return Math.max(room.events.at(-1)?.position ?? 0, room.receipts.at(-1)?.position ?? 0)
  }

  eventsOf(roomId: RoomId, after: number, upTo: number): Placed<'event'>[] {
    return within(this.#rooms.get(roomId)?.events ?? none, after, upTo)
  }

  receiptsOf(roomId: RoomId, after: number, upTo: number): Placed<'receipt'>[] {
    return within(this.#rooms.get(roomId)?.receipts ?? none, after, upTo)
  }

  newsOf(userId: UserId, after: number, upTo: number): UserNews[] {
    return within(this.#users.get(userId) ?? none, after, upTo)
  }

  /** True if something after a position concerns the user by themselves. */
  hasNewsOf(userId: UserId, after: number): boolean {
    return (this.#users.get(userId)?.at(-1)?.position ?? 0) > after
  }

  deviceLists(after: number, upTo: number): Placed<'device_list'>[] {
    return within(this.#deviceLists, after, upTo)
  }

  /** The redaction that pruned an event since the entry that shows it; `null` if the event is as its entry says. */
  prunedBy(eventNumber: number): StoredEvent | null {
    return this.#pruned.get(eventNumber)?.by ?? null
  }

  #index(entry: LogEntry): void {
    switch (entry.kind) {
      case 'event':
        this.#roomTail(entry.roomId).events.push(entry)
        for (const userId of membersIn(entry)) this.#userNews(userId).push(entry)
        for (const { eventNumber } of entry.pruned)
          this.#pruned.set(eventNumber, { by: entry.stored, position: entry.position })
        break
      case 'receipt':
        this.#roomTail(entry.roomId).receipts.push(entry)
        break
      case 'account_data':
      case 'to_device':
        this.#userNews(entry.userId).push(entry)
        break
      case 'device_list':
        this.#deviceLists.push(entry)
        break
      case 'room':
        this.#roomFloors.set(entry.roomId, entry.position)
        break
      case 'session':
      case 'profile':
      case 'erasure':
      case 'gone':
        break
    }
  }

  #drop(): void {
    const entry = this.#entries[this.#start]
    this.#bytes -= this.#costs[this.#start] ?? 0
    this.#entries[this.#start] = undefined
    this.#start++
    this.floor++
    if (!entry) return
    switch (entry.kind) {
      case 'event': {
        const room = this.#rooms.get(entry.roomId)
        if (room?.events[0] === entry) room.events.shift()
        this.#forgetRoom(entry.roomId)
        for (const userId of membersIn(entry)) this.#forgetNews(userId, entry)
        for (const { eventNumber } of entry.pruned)
          if (this.#pruned.get(eventNumber)?.position === entry.position) this.#pruned.delete(eventNumber)
        break
      }
      case 'receipt': {
        const room = this.#rooms.get(entry.roomId)
        if (room?.receipts[0] === entry) room.receipts.shift()
        this.#forgetRoom(entry.roomId)
        break
      }
      case 'account_data':
      case 'to_device':
        this.#forgetNews(entry.userId, entry)
        break
      case 'device_list':
        this.#deviceLists.shift()
        break
      case 'room':
        if (this.#roomFloors.get(entry.roomId) === entry.position) this.#roomFloors.delete(entry.roomId)
        break
      case 'session':
      case 'profile':
      case 'erasure':
      case 'gone':
        break
    }
  }

  #roomTail(roomId: RoomId): RoomTail {
    let room = this.#rooms.get(roomId)
    if (!room) this.#rooms.set(roomId, (room = { events: [], receipts: [] }))
    return room
  }

  #forgetRoom(roomId: RoomId): void {
    const room = this.#rooms.get(roomId)
    if (room && room.events.length === 0 && room.receipts.length === 0) this.#rooms.delete(roomId)
  }

  #userNews(userId: UserId): UserNews[] {
    let news = this.#users.get(userId)
    if (!news) this.#users.set(userId, (news = []))
    return news
  }

  #forgetNews(userId: UserId, entry: LogEntry): void {
    const news = this.#users.get(userId)
    if (news?.[0] === entry) news.shift()
    if (news?.length === 0) this.#users.delete(userId)
  }
}

/** The users whose membership of the room an entry changes. */
export function membersIn(entry: EventEntry): UserId[] {
  const changes = entry.stateChanges.filter(({ type }) => type === 'm.room.member')
  // The authorisation rules let nothing but user IDs be the state keys of member events.
  return changes.map(({ stateKey }) => stateKey as UserId)
}
