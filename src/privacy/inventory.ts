import { accountTables } from './inventory/accounts.ts'
import { administrationTables } from './inventory/administration.ts'
import { type Inventory } from './inventory/entry.ts'
import { keyTables } from './inventory/keys.ts'
import { mediaTables } from './inventory/media.ts'
import { roomTables } from './inventory/rooms.ts'
import { serverTables } from './inventory/server.ts'

export {
  type ColumnEntry, type Deactivation, type Erasure, type Inventory, type Lifetime, type TableEntry, type Way, type Whose,
} from './inventory/entry.ts' // prettier-ignore

/**
 * Everything that this server keeps: each table and column, with what it is for, whose it is and how long it lives. A table or
 * a column that is missing here does not compile, and one that is here and not in the database fails a test.
 */
export const inventory: Inventory = {
  ...serverTables,
  ...accountTables,
  ...roomTables,
  ...keyTables,
  ...mediaTables,
  ...administrationTables,
}
