import { type Context } from '../context.ts'
import { membershipIn, type Membership } from '../protocol/history-visibility.ts'
import { type RoomId, type UserId } from '../protocol/identifiers.ts'
import { ignoredUsersIn, ignoredUsersType } from '../protocol/ignored-users.ts'
import { accountDataOf, globalRoomNumber } from '../storage/account-data.ts'
import { type LogEntry } from '../storage/log-entries.ts'
import { membershipsOf } from '../storage/memberships.ts'

/** A room that a user has joined, is invited to or knocks at, as of the head of the log. */
export interface KnownRoom {
  readonly roomId: RoomId
  readonly roomNumber: number
  readonly membership: Membership
  /** Of the change that brought the membership about; a profile change counts. */
  readonly position: number
}

/** A user of this server who has synced lately: what is needed to know at once what concerns them. */
export class KnownUser {
  readonly userId: UserId
  readonly userNumber: number
  /** Left rooms are not among them. */
  readonly rooms = new Map<RoomId, KnownRoom>()
  ignored: ReadonlySet<UserId> = new Set()
  /** The position that `rooms` was complete at; the log's entries have been applied since. */
  loadedAt = 0

  constructor(userId: UserId, userNumber: number) {
    this.userId = userId
    this.userNumber = userNumber
  }
}

/** How many users are remembered; those who wait are never forgotten. */
const rememberedLimit = 20_000
/** How long to wait for entries that the database had already when the memberships were read. */
const catchUpMs = 5_000

/** The users who have synced lately, kept right by applying the log. */
export class KnownUsers {
  readonly #ctx: Context
  readonly #users = new Map<UserId, KnownUser>()
  readonly #loading = new Map<UserId, Promise<KnownUser>>()
  /** Users whose rooms are being read, and what the log said of them meanwhile. */
  readonly #arriving = new Map<UserId, KnownUser>()
  readonly #inRoom = new Map<RoomId, Set<KnownUser>>()
  readonly #isBusy: (user: KnownUser) => boolean

  constructor(ctx: Context, isBusy: (user: KnownUser) => boolean) {
    this.#ctx = ctx
    this.#isBusy = isBusy
  }

  /** The user if they are remembered. */
  get(userId: UserId): KnownUser | null {
    return this.#users.get(userId) ?? null
  }

  /** The remembered users who have joined a room. */
  joinedIn(roomId: RoomId): ReadonlySet<KnownUser> {
    return this.#inRoom.get(roomId) ?? noUsers
  }

  /** The user, read from the database if they are not remembered. */
  async load(userId: UserId, userNumber: number): Promise<KnownUser> {
    const known = this.#users.get(userId)
    if (known) {
      // The most recently used stand last.
      this.#users.delete(userId)
      this.#users.set(userId, known)
      return known
    }
    let loading = this.#loading.get(userId)
    if (!loading) {
      loading = this.#read(userId, userNumber).finally(() => {
        this.#loading.delete(userId)
        this.#arriving.delete(userId)
      })
      this.#loading.set(userId, loading)
    }
    return loading
  }

  async #read(userId: UserId, userNumber: number): Promise<KnownUser> {
    const { db, log, numbers } = this.#ctx
    const user = new KnownUser(userId, userNumber)
    this.#arriving.set(userId, user)
    const ignoredBefore = user.ignored
    const [memberships, ignored] = await Promise.all([
      membershipsOf(db.kysely, userNumber),
      accountDataOf(db.kysely, numbers.sealer, userNumber, globalRoomNumber, ignoredUsersType),
    ])
    // The database may be ahead of the entries that were applied here: wait for them, so that nothing is known too early.
    const newest = memberships.reduce((position, row) => Math.max(position, row.position), 0)
    await log.reached(newest, catchUpMs)
    for (const row of memberships) {
      const { roomId, roomNumber, membership, position } = row
      const applied = user.rooms.get(roomId)
      if (!applied || applied.position < position) this.#place(user, { roomId, roomNumber, membership, position })
    }
    for (const room of [...user.rooms.values()]) if (isOver(room.membership)) user.rooms.delete(room.roomId)
    if (user.ignored === ignoredBefore) user.ignored = ignoredUsersIn(ignored)
    user.loadedAt = log.head
    this.#arriving.delete(userId)
    this.#users.set(userId, user)
    for (const room of user.rooms.values()) if (room.membership === 'join') this.#enter(room.roomId, user)
    this.#evict()
    return user
  }

  apply(entry: LogEntry): void {
    if (entry.kind === 'account_data' && entry.roomId === null && entry.type === ignoredUsersType) {
      const user = this.#users.get(entry.userId) ?? this.#arriving.get(entry.userId)
      if (user) user.ignored = ignoredUsersIn(entry.content)
    }
    if (entry.kind !== 'event') return
    for (const { type, stateKey, event } of entry.stateChanges) {
      if (type !== 'm.room.member') continue
      // The authorisation rules let nothing but user IDs be the state keys of member events.
      const userId = stateKey as UserId
      const { roomId, position } = entry
      const { roomNumber } = entry.stored
      const room = { roomId, roomNumber, membership: membershipIn(event?.event.content), position }
      const arriving = this.#arriving.get(userId)
      if (arriving) this.#place(arriving, room)
      const user = this.#users.get(userId)
      if (!user) continue
      if (isOver(room.membership)) user.rooms.delete(roomId)
      else this.#place(user, room)
      if (room.membership === 'join') this.#enter(roomId, user)
      else this.#exit(roomId, user)
    }
  }

  #place(user: KnownUser, room: KnownRoom): void {
    user.rooms.set(room.roomId, room)
  }

  #enter(roomId: RoomId, user: KnownUser): void {
    let users = this.#inRoom.get(roomId)
    if (!users) this.#inRoom.set(roomId, (users = new Set()))
    users.add(user)
  }

  #exit(roomId: RoomId, user: KnownUser): void {
    const users = this.#inRoom.get(roomId)
    users?.delete(user)
    if (users?.size === 0) this.#inRoom.delete(roomId)
  }

  #evict(): void {
    if (this.#users.size <= rememberedLimit) return
    for (const user of this.#users.values()) {
      if (this.#users.size <= rememberedLimit) return
      if (this.#isBusy(user)) continue
      this.#users.delete(user.userId)
      for (const roomId of user.rooms.keys()) this.#exit(roomId, user)
    }
  }
}

const noUsers: ReadonlySet<KnownUser> = new Set()

function isOver(membership: Membership): boolean {
  return membership === 'leave' || membership === 'ban'
}
