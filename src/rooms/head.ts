import { type Context } from '../context.ts'
import { type AuthState } from '../protocol/auth/auth-state.ts'
import { type Event } from '../protocol/event.ts'
import { membershipIn, type Membership } from '../protocol/history-visibility.ts'
import { type RoomId, type UserId } from '../protocol/identifiers.ts'
import { memoryOf } from '../protocol/json-memory.ts'
import { type PowerLevels, powerLevels } from '../protocol/power-levels.ts'
import { type Lifetime } from '../protocol/retention.ts'
import { type RoomVersion } from '../protocol/room-versions.ts'
import { StateMap } from '../protocol/state-map.ts'
import { type LogEntry, type StoredEvent } from '../storage/log-entries.ts'
import { type RoomFacts } from '../storage/numbers.ts'
import { loadHead, type LoadedHead } from '../storage/room-heads.ts'
import { perServer } from '../context.ts'

/** What a state event costs in memory beside its JSON, and a head beside its state; in bytes. */
const eventOverheadBytes = 1_500
const headOverheadBytes = 4_000

/**
 * Where a room stands, in memory: its current state and what the next event is built on. It runs ahead of the database
 * by the appends that are on their way; when one of them fails the head is dropped and read again.
 */
export class RoomHead {
  readonly facts: RoomFacts
  /** Counts the changes of the head. */
  headVersion: number
  depth: number
  /** At most 20 are cited by the next event. */
  forwardExtremities: { readonly eventNumber: number; readonly event: Event }[]
  readonly state: StateMap<StoredEvent>
  /** The state snapshot, as a difference to a full one; `null` before the first state event. */
  snapshot: { snapshotNumber: number; fullNumber: number; added: Set<number>; removed: Set<number> } | null
  /** The policy that an administrator set for the room. */
  readonly retentionOverride: Lifetime | null
  /** Events of this process that are on their way through the log. */
  readonly underWay = new Set<number>()
  /** The memory that the head takes, as estimated by `memoryOf`. */
  sizeBytes = headOverheadBytes
  #joined = 0

  constructor(loaded: LoadedHead) {
    this.facts = loaded.facts
    this.retentionOverride = loaded.retentionOverride
    this.headVersion = loaded.version
    this.depth = loaded.depth
    this.forwardExtremities = loaded.forwardExtremities.map(({ eventNumber, event }) => ({ eventNumber, event: event.event })) // prettier-ignore
    this.snapshot = loaded.snapshot && {
      ...loaded.snapshot,
      added: new Set(loaded.snapshot.added),
      removed: new Set(loaded.snapshot.removed),
    }
    this.state = new StateMap()
    for (const stored of loaded.state) {
      // Every event of the state is a state event.
      if (stored.event.stateKey !== null) this.setState(stored.event.type, stored.event.stateKey, stored)
    }
  }

  get roomId(): RoomId {
    return this.facts.roomId
  }

  get version(): RoomVersion {
    return this.facts.version
  }

  /** The event that holds a pair of the current state. */
  event(type: string, stateKey = ''): Event | null {
    return this.state.get(type, stateKey)?.event ?? null
  }

  /** For the authorisation rules. */
  get authState(): AuthState {
    return { get: (type, stateKey) => this.state.get(type, stateKey)?.event }
  }

  membership(userId: UserId): Membership {
    return membershipIn(this.event('m.room.member', userId)?.content)
  }

  /** True if the user has a member event of any kind. */
  hasMember(userId: UserId): boolean {
    return this.state.has('m.room.member', userId)
  }

  /** The user IDs with one of the memberships. */
  members(...wanted: readonly Membership[]): UserId[] {
    const found: UserId[] = []
    for (const [userId, stored] of this.state.ofType('m.room.member')) {
      // The authorisation rules let nothing but user IDs be the state keys of member events.
      if (wanted.includes(membershipIn(stored.event.content))) found.push(userId as UserId)
    }
    return found
  }

  /** How many users have joined. */
  get joinedCount(): number {
    return this.#joined
  }

  get powerLevels(): PowerLevels {
    return powerLevels(this.event('m.room.power_levels')?.content ?? null, this.version, this.event('m.room.create'))
  }

  /** Sets or, with `null`, removes a pair of the state. */
  setState(type: string, stateKey: string, stored: StoredEvent | null): void {
    const before = this.state.get(type, stateKey)
    if (before?.event !== stored?.event) this.sizeBytes += sizeOf(stored) - sizeOf(before)
    if (stored) this.state.set(type, stateKey, stored)
    else this.state.delete(type, stateKey)
    // Counted as it changes: a large room would be counted anew after every join.
    if (type === 'm.room.member') this.#joined += Number(isJoin(stored)) - Number(isJoin(before))
  }
}

function isJoin(stored: StoredEvent | null | undefined): boolean {
  return membershipIn(stored?.event.content) === 'join'
}

function sizeOf(stored: StoredEvent | null | undefined): number {
  return stored ? eventOverheadBytes + memoryOf(stored.event.pdu) : 0
}

/** How many heads are kept; a head is as large as its room's state. */
const headLimit = 5_000
/** How much memory all kept heads may take together, as estimated by their `sizeBytes`. */
const headLimitBytes = 128 * 1024 * 1024

class Heads {
  readonly #ctx: Context
  readonly #heads = new Map<RoomId, Promise<RoomHead | null>>()
  readonly #loaded = new Map<RoomId, RoomHead>()
  readonly #queues = new Map<RoomId, Promise<unknown>>()

  constructor(ctx: Context) {
    this.#ctx = ctx
    ctx.log.subscribe(entries => {
      for (const entry of entries) this.#apply(entry)
    })
  }

  async get(roomId: RoomId): Promise<RoomHead | null> {
    const known = this.#loaded.get(roomId)
    if (known) return known
    let loading = this.#heads.get(roomId)
    if (!loading) {
      loading = this.#load(roomId)
      this.#heads.set(roomId, loading)
      loading.then(
        head => {
          if (this.#heads.get(roomId) !== loading) return
          this.#heads.delete(roomId)
          if (head) this.#keep(head)
        },
        () => this.#heads.delete(roomId),
      )
    }
    return loading
  }

  async #load(roomId: RoomId): Promise<RoomHead | null> {
    const loaded = await loadHead(this.#ctx.db, this.#ctx.numbers, roomId)
    return loaded && new RoomHead(loaded)
  }

  #keep(head: RoomHead): void {
    this.#loaded.set(head.roomId, head)
    let bytes = 0
    for (const kept of this.#loaded.values()) bytes += kept.sizeBytes
    for (const [roomId, kept] of this.#loaded) {
      if (this.#loaded.size <= headLimit && bytes <= headLimitBytes) break
      if (roomId === head.roomId || kept.underWay.size > 0) continue
      bytes -= kept.sizeBytes
      this.#loaded.delete(roomId)
    }
  }

  current(roomId: RoomId): RoomHead | null {
    return this.#loaded.get(roomId) ?? null
  }

  drop(roomId: RoomId): void {
    this.#loaded.delete(roomId)
    this.#heads.delete(roomId)
  }

  adopt(head: RoomHead): void {
    this.#keep(head)
  }

  /** Runs `work` when all earlier work on the room is done; nothing else builds on the room's head meanwhile. */
  async exclusively<T>(roomId: RoomId, work: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(roomId)
    const mine = before ? before.then(work, work) : work()
    this.#queues.set(roomId, mine)
    try {
      return await mine
    } finally {
      if (this.#queues.get(roomId) === mine) this.#queues.delete(roomId)
    }
  }

  #apply(entry: LogEntry): void {
    if (entry.kind === 'room') return this.drop(entry.roomId)
    if (entry.kind !== 'event') return
    const head = this.#loaded.get(entry.roomId)
    if (!head) {
      // One that is being read may or may not know of this event.
      this.#heads.delete(entry.roomId)
      return
    }
    if (!head.underWay.delete(entry.stored.eventNumber)) return this.drop(entry.roomId)
    // Our own: the head is there already, but did not know the position.
    for (const { type, stateKey, event } of entry.stateChanges) {
      if (event && head.state.get(type, stateKey)?.eventNumber === event.eventNumber)
        head.setState(type, stateKey, event)
    }
  }
}

const heads = perServer(ctx => new Heads(ctx))

/** The room's head; `null` for a room that this server does not know. Read it, do not change it. */
export function roomHead(ctx: Context, roomId: RoomId): Promise<RoomHead | null> {
  return heads(ctx).get(roomId)
}

/** The same if it is in memory; else `null`. */
export function knownHead(ctx: Context, roomId: RoomId): RoomHead | null {
  return heads(ctx).current(roomId)
}

/** For `append.ts` alone. */
export const roomHeads = heads
