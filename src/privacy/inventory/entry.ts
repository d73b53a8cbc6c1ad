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
}

export interface TableEntry<Column extends string = string> {
  /** One sentence. */
  readonly purpose: string
  readonly whose: Whose
  readonly lifetime: Lifetime
  readonly columns: Readonly<Record<Column, ColumnEntry>>
}

/** An entry for each of the tables, all of them unless some are named. */
export type Inventory<Names extends keyof InventoriedTables = keyof InventoriedTables> = {
  readonly [Name in Names]: TableEntry<Extract<keyof InventoriedTables[Name], string>>
}

/** A column that says nothing of a person. */
export const plain = (purpose: string): ColumnEntry => ({ purpose, isPersonal: false })

/** A column that holds, or stands for, something about a person. */
export const personal = (purpose: string): ColumnEntry => ({ purpose, isPersonal: true })

/** Columns that mean the same wherever they stand. */
export const userNumber = personal('The number that stands for the user.')
export const deviceId = personal('The device, by the name that its client knows it under.')
export const roomNumber = plain('The number that stands for the room.')
export const logPosition = plain('When it happened, in the order of the log.')
export const expiresTs = plain('When it stops being good.')
