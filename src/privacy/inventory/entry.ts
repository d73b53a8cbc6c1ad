import { type Tables } from '../../storage/tables.ts'
import { type lifetimeDays } from '../lifetimes.ts'

/** The tables of the database, with the one that the migrations keep of themselves. */
export interface InventoriedTables extends Tables {
  schema_migrations: { name: string; checksum: string; applied_on: string }
}

/** Whom rows tell of. `nobody`: they tell of no person and no room. */
export type Whose = 'user' | 'room' | 'server' | 'nobody'

/**
 * How long a row lives: as long as the server, the account, the device, the room; as long as the event, which the room's
 * lifetime of messages bounds; until it is used, or is replaced by the next, or the time comes that the row itself names, or
 * somebody who may removes it; a number of days.
 */
export type Lifetime =
  | 'server'
  | 'account'
  | 'device'
  | 'room'
  | 'event'
  | 'until used'
  | 'until replaced'
  | 'until it expires'
  | 'until removed'
  | { readonly days: (typeof lifetimeDays)[keyof typeof lifetimeDays] }

export interface ColumnEntry {
  /** One sentence. */
  readonly purpose: string
  /** Whether it holds, or stands for, something about a person. */
  readonly isPersonal: boolean
  /** Whether it proves who somebody is: it is said to be there, and shown to nobody. */
  readonly isSecret: boolean
}

/** How a row is known to be a user's. */
export type Way<Column extends string = string> =
  /** The column holds the number of the user. */
  | { readonly number: Column }
  /** The column holds a text that is the user ID, or has it in it. */
  | { readonly name: Column }
  /** The column refers, by that column of another table, to a row that is the user's. */
  | { readonly refers: Column; readonly to: keyof InventoriedTables; readonly by: string }

/**
 * What erasing an account does to the rows that are its user's: they are deleted; what they say is pruned to what rooms
 * cannot do without, and the rest deleted; or they are kept, for the reason given (a sentence, which the erased person reads).
 */
export type Erasure = 'deleted' | 'pruned' | { readonly kept: string }

/**
 * Why rows that erasing deletes outlive an account that is only deactivated: a sentence. Where nothing is said they do not.
 */
export interface Deactivation {
  readonly kept: string
}

interface AnyTableEntry<Column extends string> {
  /** One sentence. */
  readonly purpose: string
  readonly lifetime: Lifetime
  readonly columns: Readonly<Record<Column, ColumnEntry>>
}

/** A table whose rows are users': it says how theirs are found, and what becomes of them when one is erased. */
export interface UserTableEntry<Column extends string = string> extends AnyTableEntry<Column> {
  readonly whose: 'user'
  readonly ways: readonly [Way<Column>, ...Way<Column>[]]
  readonly erasure: Erasure
  readonly deactivation?: Deactivation
}

/** A table whose rows are not users' own. Where they name users nevertheless, it may say how and what becomes of it. */
export interface OtherTableEntry<Column extends string = string> extends AnyTableEntry<Column> {
  readonly whose: Exclude<Whose, 'user'>
  readonly ways?: readonly [Way<Column>, ...Way<Column>[]]
  readonly erasure?: Erasure
  readonly deactivation?: Deactivation
}

export type TableEntry<Column extends string = string> = UserTableEntry<Column> | OtherTableEntry<Column>

/** An entry for each of the tables, all of them unless some are named. */
export type Inventory<Names extends keyof InventoriedTables = keyof InventoriedTables> = {
  readonly [Name in Names]: TableEntry<Extract<keyof InventoriedTables[Name], string>>
}

/** A column that says nothing of a person. */
export const plain = (purpose: string): ColumnEntry => ({ purpose, isPersonal: false, isSecret: false })

/** A column that holds, or stands for, something about a person. */
export const personal = (purpose: string): ColumnEntry => ({ purpose, isPersonal: true, isSecret: false })

/** A column that holds what a person proves who they are with, hashed. */
export const secret = (purpose: string): ColumnEntry => ({ purpose, isPersonal: true, isSecret: true })

/** The way to the rows of a user that most tables have. */
export const byUserNumber = [{ number: 'user_number' }] as const

/** Columns that mean the same wherever they stand. */
export const userNumber = personal('The number that stands for the user.')
export const deviceId = personal('The device, by the name that its client knows it under.')
export const roomNumber = plain('The number that stands for the room.')
export const logPosition = plain('When it happened, in the order of the log.')
export const expiresTs = plain('When it stops being good.')
