import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type RoomId } from '../../src/protocol/identifiers.ts'
import { type Person } from '../calls.ts'
import { type Relation } from './measure.ts'

/** What the tables took at a number of messages. */
export interface Size {
  readonly messages: number
  readonly relations: readonly Relation[]
}

/** What must be known of a filled database to go on with it: it lies beside it, as `house.json`. */
export interface KeptHouse {
  readonly writer: Person
  readonly reader: Person
  readonly rooms: readonly RoomId[]
  /** How many messages it holds at least. */
  readonly messages: number
  /** Before the first message, and at every power of ten. */
  readonly sizes: readonly Size[]
}

/** What an earlier run left in the folder; `null` if there was none. */
export async function keptHouse(folder: string): Promise<KeptHouse | null> {
  try {
    // Nobody but `keepHouse` writes it.
    return JSON.parse(await readFile(join(folder, 'house.json'), 'utf8')) as KeptHouse
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

/** Notes how far it is, so that a run that is cut off goes on from here. */
export async function keepHouse(folder: string, house: KeptHouse): Promise<void> {
  const unfinished = join(folder, 'house.json.new')
  await writeFile(unfinished, JSON.stringify(house))
  await rename(unfinished, join(folder, 'house.json'))
}
