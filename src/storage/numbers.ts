import { LRUCache } from 'lru-cache'
import { type RoomId, type ServerName, type UserId } from '../protocol/identifiers.ts'
import { type Sealer } from '../privacy/seal.ts'
import { type RoomVersion, roomVersion } from '../protocol/room-versions.ts'
import { type Database, type Statement, statement } from './database.ts'

/** What never changes about a room. */
export interface RoomFacts {
  readonly roomNumber: number
  readonly roomId: RoomId
  readonly version: RoomVersion
}

/** Translates identifiers to the numbers that stand for them in the database, and back. Numbers never change, so they are
 *  remembered; a forgotten one is read again. */
export interface Numbers {
  /** Opens what the rows hold, and seals what they are to hold. */
  readonly sealer: Sealer
  /** The user's number; makes one for a user not seen before. */
  user(userId: UserId): Promise<number>
  /** Likewise for many; the answer has every one asked for. */
  users(userIds: Iterable<UserId>): Promise<ReadonlyMap<UserId, number>>
  /** The user's number, or `null` for a user not seen before. */
  knownUser(userId: UserId): Promise<number | null>
  /** The users that have these numbers; unknown numbers are left out. */
  userIds(numbers: Iterable<number>): Promise<ReadonlyMap<number, UserId>>
  /** Throws for a number that no user has: numbers come from rows that refer to users. */
  userId(number: number): Promise<UserId>
  type(type: string): Promise<number>
  types(types: Iterable<string>): Promise<ReadonlyMap<string, number>>
  /** The numbers of those types that exist. */
  knownTypes(types: Iterable<string>): Promise<ReadonlyMap<string, number>>
  typeNames(numbers: Iterable<number>): Promise<ReadonlyMap<number, string>>
  stateKey(stateKey: string): Promise<number>
  stateKeys(stateKeys: Iterable<string>): Promise<ReadonlyMap<string, number>>
  /** The numbers of those state keys that exist. */
  knownStateKeys(stateKeys: Iterable<string>): Promise<ReadonlyMap<string, number>>
  stateKeyNames(numbers: Iterable<number>): Promise<ReadonlyMap<number, string>>
  /** `null` for a room that this server does not know. */
  room(roomId: RoomId): Promise<RoomFacts | null>
  /** The rooms that have these numbers; rooms that are gone are left out. */
  rooms(numbers: Iterable<number>): Promise<ReadonlyMap<number, RoomFacts>>
  /** A number of its own for a new room, event or snapshot; never handed out twice, with gaps. */
  next(kind: 'room' | 'event' | 'snapshot'): Promise<number>
  /** `count` new event numbers, ascending. */
  nextEvents(count: number): Promise<number[]>
}

/** How much memory the identifiers of each kind may take, each way; and about what one takes beside its text. */
const rememberedLimitBytes = 16 * 1024 * 1024
const identifierOverheadBytes = 100

const blockSizes = { room: 16, event: 1000, snapshot: 1000 } as const

interface NumberRow {
  name: string
  number: number
}

/** One dictionary table: a text and its number. */
class Dictionary<Name extends string> {
  readonly #db: Database
  readonly #byName = new LRUCache<Name, number>({
    maxSize: rememberedLimitBytes,
    sizeCalculation: (_, name) => identifierOverheadBytes + name.length,
  })
  readonly #byNumber = new LRUCache<number, Name>({
    maxSize: rememberedLimitBytes,
    sizeCalculation: name => identifierOverheadBytes + name.length,
  })
  readonly #find: Statement<[readonly string[]], NumberRow>
  readonly #make: (names: Name[]) => { name: string; text: string; values: unknown[] }
  readonly #read: Statement<[readonly number[]], NumberRow>

  constructor(
    db: Database,
    table: string,
    numberColumn: string,
    nameColumn: string,
    insert: (names: Name[]) => { columns: string; select: string; values: unknown[] },
  ) {
    this.#db = db
    const columns = `${nameColumn} AS name, ${numberColumn} AS number`
    this.#find = statement(`${table}_find`, `SELECT ${columns} FROM ${table} WHERE ${nameColumn} = ANY($1)`)
    this.#read = statement(`${table}_read`, `SELECT ${columns} FROM ${table} WHERE ${numberColumn} = ANY($1)`)
    const make = (names: Name[]) => {
      const { columns: into, select, values } = insert(names)
      return {
        name: `${table}_make`,
        text: `INSERT INTO ${table} (${into}) ${select} ON CONFLICT DO NOTHING`,
        values,
      }
    }
    this.#make = make
  }

  /** The numbers of the names that exist; with `make`, the others get one. */
  async numbers(names: Iterable<Name>, make: boolean): Promise<Map<Name, number>> {
    const found = new Map<Name, number>()
    const missing: Name[] = []
    for (const name of new Set(names)) {
      const number = this.#byName.get(name)
      if (number === undefined) missing.push(name)
      else found.set(name, number)
    }
    if (missing.length === 0) return found
    await this.#load(missing, found)
    const unknown = missing.filter(name => !found.has(name))
    if (make && unknown.length > 0) {
      // Sorted, so that two processes that add the same names lock them in the same order.
      await this.#db.pool.query(this.#make(unknown.sort()))
      await this.#load(unknown, found)
    }
    return found
  }

  async names(numbers: Iterable<number>): Promise<Map<number, Name>> {
    const found = new Map<number, Name>()
    const missing: number[] = []
    for (const number of new Set(numbers)) {
      const name = this.#byNumber.get(number)
      if (name === undefined) missing.push(number)
      else found.set(number, name)
    }
    if (missing.length === 0) return found
    for (const row of await this.#read.run(this.#db.kysely, [missing])) {
      // The column holds nothing but what was inserted as a `Name`.
      const name = restored(row.name) as Name
      this.#remember(name, row.number)
      found.set(row.number, name)
    }
    return found
  }

  async #load(names: Name[], into: Map<Name, number>): Promise<void> {
    for (const row of await this.#find.run(this.#db.kysely, [names.map(storable)])) {
      // As above.
      const name = restored(row.name) as Name
      this.#remember(name, row.number)
      into.set(name, row.number)
    }
  }

  #remember(name: Name, number: number): void {
    this.#byName.set(name, number)
    this.#byNumber.set(number, name)
  }
}

/** Numbers taken from a sequence a block at a time. */
class Block {
  readonly #db: Database
  readonly #sequence: string
  readonly #size: number
  #next = 0
  #end = 0
  #refill: Promise<void> | null = null

  constructor(db: Database, sequence: string, size: number) {
    this.#db = db
    this.#sequence = sequence
    this.#size = size
  }

  async next(): Promise<number> {
    while (this.#next >= this.#end) {
      this.#refill ??= this.#fill().finally(() => {
        this.#refill = null
      })
      await this.#refill
    }
    return this.#next++
  }

  async #fill(): Promise<void> {
    const { rows } = await this.#db.pool.query<{ start: number }>(`SELECT nextval('${this.#sequence}') AS start`)
    const start = rows[0]?.start
    if (start === undefined) throw new Error('A sequence gave no number')
    this.#next = start
    this.#end = start + this.#size
  }
}

interface RoomRow {
  room_number: number
  room_id: string
  version: string
}

const roomById = statement<[string], RoomRow>(
  'rooms_find',
  'SELECT room_number, room_id, version FROM rooms WHERE room_id = $1',
)
const roomsByNumber = statement<[readonly number[]], RoomRow>(
  'rooms_read',
  'SELECT room_number, room_id, version FROM rooms WHERE room_number = ANY($1)',
)

const rememberedRooms = {
  maxSize: rememberedLimitBytes,
  sizeCalculation: ({ roomId }: RoomFacts) => identifierOverheadBytes + roomId.length,
}

/** The rooms of one database, remembered by ID and by number. */
class RoomDictionary {
  readonly #db: Database
  readonly #byId = new LRUCache<RoomId, RoomFacts>(rememberedRooms)
  readonly #byNumber = new LRUCache<number, RoomFacts>(rememberedRooms)

  constructor(db: Database) {
    this.#db = db
  }

  async find(roomId: RoomId): Promise<RoomFacts | null> {
    const known = this.#byId.get(roomId)
    if (known) return known
    const row = await roomById.first(this.#db.kysely, [roomId])
    return row ? this.#remember(row) : null
  }

  async read(numbers: Iterable<number>): Promise<Map<number, RoomFacts>> {
    const found = new Map<number, RoomFacts>()
    const missing: number[] = []
    for (const number of new Set(numbers)) {
      const facts = this.#byNumber.get(number)
      if (facts) found.set(number, facts)
      else missing.push(number)
    }
    if (missing.length === 0) return found
    for (const row of await roomsByNumber.run(this.#db.kysely, [missing])) {
      const facts = this.#remember(row)
      if (facts) found.set(facts.roomNumber, facts)
    }
    return found
  }

  #remember(row: RoomRow): RoomFacts | null {
    const version = roomVersion(row.version)
    if (!version) return null
    // The column holds nothing but room IDs that were parsed before they were inserted.
    const facts = { roomNumber: row.room_number, roomId: row.room_id as RoomId, version }
    this.#byId.set(facts.roomId, facts)
    this.#byNumber.set(facts.roomNumber, facts)
    return facts
  }
}

/** Event types and state keys may hold NUL, which Postgres's text cannot: it stands there as `\\0`, and a backslash twice. */
function storable(text: string): string {
  return /[\0\\]/.test(text) ? text.replaceAll('\\', '\\\\').replaceAll('\0', '\\0') : text
}

function restored(text: string): string {
  return text.includes('\\') ? text.replace(/\\([\\0])/g, (_match, kept: string) => (kept === '0' ? '\0' : '\\')) : text
}

function required<K, V>(map: ReadonlyMap<K, V>, key: K): V {
  const value = map.get(key)
  if (value === undefined) throw new Error('A number or name that must exist does not')
  return value
}

/** The translator of one database. `serverName` tells local users from others. */
export function createNumbers(db: Database, serverName: ServerName, sealer: Sealer): Numbers {
  const users = new Dictionary<UserId>(db, 'users', 'user_number', 'user_id', names => ({
    columns: 'user_id, is_local',
    select: 'SELECT name, is_local FROM unnest($1::text[], $2::boolean[]) AS new (name, is_local)',
    values: [names, names.map(name => name.endsWith(`:${serverName}`))],
  }))
  const simple = (table: string, number: string, name: string) =>
    new Dictionary<string>(db, table, number, name, names => ({
      columns: name,
      select: 'SELECT name FROM unnest($1::text[]) AS new (name)',
      values: [names.map(storable)],
    }))
  const types = simple('event_types', 'type_number', 'type')
  const stateKeys = simple('state_keys', 'state_key_number', 'state_key')
  const rooms = new RoomDictionary(db)
  const blocks = {
    room: new Block(db, 'room_numbers', blockSizes.room),
    event: new Block(db, 'event_numbers', blockSizes.event),
    snapshot: new Block(db, 'snapshot_numbers', blockSizes.snapshot),
  }
  return {
    sealer,
    user: async userId => required(await users.numbers([userId], true), userId),
    users: userIds => users.numbers(userIds, true),
    knownUser: async userId => (await users.numbers([userId], false)).get(userId) ?? null,
    userIds: numbers => users.names(numbers),
    userId: async number => required(await users.names([number]), number),
    type: async type => required(await types.numbers([type], true), type),
    types: names => types.numbers(names, true),
    knownTypes: names => types.numbers(names, false),
    typeNames: numbers => types.names(numbers),
    stateKey: async stateKey => required(await stateKeys.numbers([stateKey], true), stateKey),
    stateKeys: names => stateKeys.numbers(names, true),
    knownStateKeys: names => stateKeys.numbers(names, false),
    stateKeyNames: numbers => stateKeys.names(numbers),
    room: roomId => rooms.find(roomId),
    rooms: numbers => rooms.read(numbers),
    next: kind => blocks[kind].next(),
    async nextEvents(count) {
      const numbers: number[] = []
      while (numbers.length < count) numbers.push(await blocks.event.next())
      return numbers
    },
  }
}
