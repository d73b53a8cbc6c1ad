import { type AccountOwner } from '../accounts/account.ts'
import { type Context } from '../context.ts'
import { leaveAllRooms } from '../rooms/leave-all.ts'
import { deactivateAccount } from '../storage/accounts.ts'
import { type Tx } from '../storage/database.ts'
import { childrenFirst } from '../storage/erasures.ts'
import { noteDeadSeals } from '../storage/keyring-row.ts'
import { deleteOwnRows } from '../storage/own-rows.ts'
import { inventory, type TableEntry } from './inventory.ts'
import { sealOf } from './seal.ts'

type TableName = keyof typeof inventory

/** Those tables of the inventory that are wanted, in an order in which deleting from one takes no row of the next with it. */
export async function tablesToDeleteFrom(
  tx: Tx,
  isWanted: (table: string, entry: TableEntry) => boolean,
): Promise<TableName[]> {
  const tables = Object.entries(inventory).flatMap(([table, entry]) => (isWanted(table, entry) ? [table] : []))
  // They are keys of the inventory.
  return (await childrenFirst(tx, tables)) as TableName[]
}

/** Whether a user's rows of a table go with an account that is only deactivated: all that erasing deletes, unless the inventory says why not. */
export function goesWithAccount({ erasure, deactivation }: TableEntry): boolean {
  return erasure === 'deleted' && deactivation === undefined
}

/**
 * Deactivates an account for good: nobody can log in, its devices and its own things are deleted, and the key that seals
 * them is to be destroyed; its rooms are left. Its name is never given out again. `isErased` marks that what it wrote is to be
 * erased too. An account that is deactivated already leaves what rooms it may still be in. `useUp` runs first, in the same
 * transaction as the deletion. https://spec.matrix.org/v1.19/client-server-api/#account-deactivation
 */
export async function deactivate(
  ctx: Context,
  owner: AccountOwner,
  isErased: boolean,
  useUp: (tx: Tx) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const { sealer } = ctx.numbers
  await ctx.log.transact(async (tx, announce) => {
    await useUp(tx)
    if (!(await deactivateAccount(tx, owner.userNumber, isErased))) return
    for (const table of await tablesToDeleteFrom(tx, (_, entry) => goesWithAccount(entry))) {
      await deleteOwnRows(tx, inventory, table, owner, Number.MAX_SAFE_INTEGER)
    }
    if (sealer.isOn) await noteDeadSeals(tx, [sealOf(sealer.accountPlace(owner.userNumber))])
    announce({ kind: 'session', userId: owner.userId })
    announce({ kind: 'device_list', userId: owner.userId })
    announce({ kind: 'profile', userId: owner.userId })
  })
  await leaveAllRooms(ctx, owner.userId)
}
