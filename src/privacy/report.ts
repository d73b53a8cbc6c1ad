import { type Context } from '../context.ts'
import { serverNameOf } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../protocol/json.ts'
import { parseJson } from '../protocol/json-reader.ts'
import { roomHead } from '../rooms/head.ts'
import { inspectDatabase } from '../storage/inspect.ts'
import { membershipsOf } from '../storage/memberships.ts'
import { openOwnRows } from '../storage/open-own-rows.ts'
import { countOwnRows, type Owner, type OwnRowsPage, ownRows, type RowText } from '../storage/own-rows.ts'
import { inventory, type TableEntry } from './inventory.ts'
import { livingRows } from './living-rows.ts'
import { type RoomLifetime, roomLifetime } from './room-lifetime.ts'
import { erasureWords, lifetimeWords } from './words.ts'

/** How many rows of a table a report shows; the export has all of them. */
const shownRows = 100
/** How many bytes of a table's rows a report shows, more or less. */
const shownBytes = 256 * 1024
/** What stands in place of a hash of something that proves who somebody is. */
const hidden = 'kept as a hash, not shown'

export type TableName = keyof typeof inventory

/** A kind of thing that is known of a user: a table of the database. */
export interface ReportedKind {
  readonly table: TableName
  readonly purpose: string
  /** In words that follow "kept". */
  readonly lifetime: string
  /** What erasing the account does to it. */
  readonly erasure: string
  /** What each column is for. */
  readonly columns: Readonly<Record<string, string>>
  readonly count: number
  /** The first of the rows, all of them where they are few. */
  readonly rows: readonly JsonObject[]
}

/** A room that the user has or had something to do with. */
export interface ReportedRoom {
  readonly roomId: string
  readonly name: string | null
  readonly membership: string
  readonly lifetime: RoomLifetime
  /** Other servers that have members in it now: they have copies of what was sent there. */
  readonly otherServers: readonly string[]
}

/** Settings of the server that matter for what becomes of a user's things. */
export interface ReportedSettings {
  readonly defaultLifetimeMs: number | null
  readonly federates: boolean
  /** Whether what the database writes into its own log has been seen to hold nothing of its contents. */
  readonly databaseLogs: { readonly isControlled: boolean; readonly problems: readonly string[] }
  /** Whether texts are encrypted in the database, with keys that are destroyed when their time is over. */
  readonly isSealed: boolean
  /** Who runs the server, as far as the settings say. */
  readonly operator: readonly { readonly role: string; readonly address: string }[]
}

/** What this server knows of a user. */
export interface Report {
  readonly userId: string
  readonly serverName: string
  readonly settings: ReportedSettings
  readonly rooms: readonly ReportedRoom[]
  readonly kinds: readonly ReportedKind[]
}

/** The tables of which some rows may be a user's. */
export function reportedTables(): readonly (readonly [TableName, TableEntry])[] {
  // They are the keys of the inventory.
  return Object.entries(inventory).flatMap(([name, entry]) => (entry.ways ? [[name as TableName, entry] as const] : []))
}

/** Everything that this server knows of a user, counted and shown. Kinds of which it has nothing are among it. */
export async function reportOn(ctx: Context, owner: Owner): Promise<Report> {
  const kinds: ReportedKind[] = []
  for (const [table, entry] of reportedTables()) kinds.push(await reportKind(ctx, owner, table, entry))
  return {
    userId: owner.userId,
    serverName: ctx.serverName,
    settings: await reportSettings(ctx),
    rooms: await roomsOf(ctx, owner),
    kinds,
  }
}

async function reportKind(ctx: Context, owner: Owner, table: TableName, entry: TableEntry): Promise<ReportedKind> {
  const count = await countOwnRows(ctx.db.kysely, inventory, table, owner)
  const rows = count === 0 ? [] : (await pageOfRows(ctx, owner, table, null, shownRows)).rows
  let bytes = 0
  const shown = rows.filter(row => (bytes += JSON.stringify(row).length) <= shownBytes)
  return {
    table,
    purpose: entry.purpose,
    lifetime: lifetimeWords(entry.lifetime),
    erasure: entry.erasure === undefined ? '' : erasureWords(entry.erasure),
    columns: Object.fromEntries(Object.entries(entry.columns).map(([column, { purpose }]) => [column, purpose])),
    count,
    rows: shown,
  }
}

async function reportSettings(ctx: Context): Promise<ReportedSettings> {
  const problems = (await inspectDatabase(ctx.db.pool)).filter(({ concern }) => concern === 'privacy')
  return {
    defaultLifetimeMs: ctx.config.retention.default.maxLifetime,
    federates: ctx.config.federation.enabled,
    databaseLogs: { isControlled: problems.length === 0, problems: problems.map(({ message }) => message) },
    isSealed: ctx.numbers.sealer.isOn,
    operator: operatorOf(ctx),
  }
}

/** Whom to write to, by the settings. */
export function operatorOf(ctx: Context): readonly { readonly role: string; readonly address: string }[] {
  const { contacts, page } = ctx.config.support
  return [
    ...contacts.flatMap(({ role, matrixId, emailAddress }) =>
      [matrixId, emailAddress].flatMap(address => (address === null ? [] : [{ role, address }])),
    ),
    ...(page === null ? [] : [{ role: 'm.role.page', address: page }]),
  ]
}

/** The rooms that a user has something to do with, those that they are in first. */
export async function roomsOf(ctx: Context, { userNumber }: Owner): Promise<ReportedRoom[]> {
  const rooms: ReportedRoom[] = []
  const memberships = await membershipsOf(ctx.db.kysely, userNumber)
  memberships.sort(
    (a, b) => Number(b.membership === 'join') - Number(a.membership === 'join') || b.position - a.position,
  )
  for (const { roomId, membership } of memberships) {
    const head = await roomHead(ctx, roomId)
    if (!head) continue
    const isIn = membership === 'join'
    const name = head.event('m.room.name')?.content['name']
    const servers = new Set(head.members('join').map(serverNameOf))
    servers.delete(ctx.serverName)
    rooms.push({
      roomId,
      // Whoever is not in a room is not told what it is called now.
      name: isIn && typeof name === 'string' && name !== '' ? name : null,
      membership,
      lifetime: roomLifetime(ctx, head),
      otherServers: [...servers].sort(),
    })
  }
  return rooms
}

/** A page of a user's rows of a table, as they are shown: names in place of numbers, JSON as such, hashes hidden. */
export async function pageOfRows(
  ctx: Context,
  owner: Owner,
  table: TableName,
  after: readonly string[] | null,
  limit: number,
): Promise<{ readonly rows: JsonObject[]; readonly last: OwnRowsPage['last'] }> {
  const entry: TableEntry = inventory[table]
  const columns = Object.keys(entry.columns)
  const page = await ownRows(ctx.db.kysely, inventory, table, columns, owner, after, limit)
  const opened = await livingRows(ctx, table, openOwnRows(ctx.numbers.sealer, table, page.rows))
  return { rows: await shownRowsOf(ctx, entry, opened), last: page.last }
}

const userColumn = /^(user|sender|creator|signer|target|reported)_number$/

async function shownRowsOf(ctx: Context, entry: TableEntry, rows: readonly RowText[]): Promise<JsonObject[]> {
  const columns = Object.keys(entry.columns)
  const numbersIn = (isWanted: (column: string) => boolean) =>
    rows.flatMap(row => columns.filter(isWanted).flatMap(column => (row[column] ? [Number(row[column])] : [])))
  const [users, rooms, types, stateKeys] = await Promise.all([
    ctx.numbers.userIds(numbersIn(column => userColumn.test(column))),
    ctx.numbers.rooms(numbersIn(column => column === 'room_number')),
    ctx.numbers.typeNames(numbersIn(column => column === 'type_number')),
    ctx.numbers.stateKeyNames(numbersIn(column => column === 'state_key_number')),
  ])
  const shown = (column: string, value: string | null): JsonValue => {
    if (value === null) return null
    if (entry.columns[column]?.isSecret === true) return hidden
    const number = Number(value)
    if (userColumn.test(column)) return users.get(number) ?? value
    if (column === 'room_number') return rooms.get(number)?.roomId ?? null
    if (column === 'type_number') return types.get(number) ?? value
    if (column === 'state_key_number') return stateKeys.get(number) ?? value
    return readable(value)
  }
  return rows.map(row => Object.fromEntries(columns.map(column => [column, shown(column, row[column] ?? null)])))
}

/** JSON that was kept as text is shown as JSON. */
function readable(value: string): JsonValue {
  if (!/^[[{]/.test(value)) return value
  const parsed = parseJson(value)
  return parsed.ok && (isJsonObject(parsed.value) || Array.isArray(parsed.value)) ? parsed.value : value
}

/** The report as JSON, as the endpoint answers it. */
export function reportJson(report: Report): JsonObject {
  const { settings } = report
  return {
    user_id: report.userId,
    server_name: report.serverName,
    settings: {
      default_lifetime_ms: settings.defaultLifetimeMs,
      federates: settings.federates,
      database_logs: { controlled: settings.databaseLogs.isControlled, problems: [...settings.databaseLogs.problems] },
      sealed: settings.isSealed,
      operator: settings.operator.map(contact => ({ ...contact })),
    },
    rooms: report.rooms.map(room => ({
      room_id: room.roomId,
      name: room.name,
      membership: room.membership,
      max_lifetime_ms: room.lifetime.maxLifetimeMs,
      lifetime_set_by: room.lifetime.setBy,
      other_servers: [...room.otherServers],
    })),
    kinds: report.kinds.map(kind => ({
      table: kind.table,
      purpose: kind.purpose,
      kept: kind.lifetime,
      when_erased: kind.erasure,
      columns: { ...kind.columns },
      count: kind.count,
      rows: [...kind.rows],
    })),
  }
}
