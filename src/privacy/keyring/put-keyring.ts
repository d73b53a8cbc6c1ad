import { type Database, type Tx } from '../../storage/database.ts'
import { noteIntent, noteKeyring, skipUserNumbers } from '../../storage/keyring-row.ts'
import { checksumOf, encodeKeyring, type Keyring } from './keyring.ts'
import { type KeyringStore } from './store.ts'

/**
 * Writes a keyring and notes it in the database. The transaction must hold the lock of the keyring. What is about to be written is
 * noted before, in `db`, so that nobody who finds it takes the database for one that was set back, should the transaction not
 * come to its end; `null` while nobody else can see the database, or is to see just that. Throws `KeyringError`, `DatabaseError`.
 */
export async function putKeyring(
  tx: Tx,
  keyring: Keyring,
  { store, db }: { readonly store: KeyringStore; readonly db: Pick<Database, 'kysely'> | null },
): Promise<void> {
  const bytes = encodeKeyring(keyring)
  if (db) await noteIntent(db, checksumOf(bytes))
  // The database may never be ahead of the keyring: what it then refers to could not be opened.
  await store.write(bytes)
  const { id, serial, nextChunk, generation } = keyring
  await noteKeyring(tx, { keyringId: id, serial, nextChunk, generation })
  if (keyring.lastErased > 0) await skipUserNumbers(tx, keyring.lastErased)
}
