import { sql } from 'kysely'
import { forms, sealBytes, sealLayout } from '../privacy/seal.ts'
import { lockKeys } from './advisory-lock.ts'
import { type Database, type Reader, type Tx } from './database.ts'

/** What a database knows of the keyring that opens it. */
export interface KeyringRow {
  /** `null` until there is one. */
  readonly keyringId: string | null
  /** How often the keyring had been written when the database last heard of it. */
  readonly serial: number
  /** Chunks below this one may have been used. */
  readonly nextChunk: number
  /** Its generation then; `null` where no version noted it that knew of it. */
  readonly generation: number | null
  /** The checksum of what somebody has begun to write as the keyring; `null` when that has come to its end. */
  readonly intent: Buffer | null
}

/** Waits until no other process changes the keyring, for as long as the transaction lasts. */
export async function lockKeyring(tx: Tx): Promise<KeyringRow> {
  await sql`SELECT pg_advisory_xact_lock(${lockKeys.keyring})`.execute(tx)
  return keyringRow(tx)
}

export async function keyringRow(reader: Reader): Promise<KeyringRow> {
  const row = await reader
    .selectFrom('server')
    .select(['keyring_id', 'keyring_serial', 'next_chunk', 'keyring_generation', 'keyring_intent'])
    .executeTakeFirstOrThrow()
  return {
    keyringId: row.keyring_id,
    serial: row.keyring_serial,
    nextChunk: row.next_chunk,
    generation: row.keyring_generation,
    intent: row.keyring_intent,
  }
}

/** Notes the keyring that belongs to the database, and how far its chunks are handed out. Nothing is begun any more then. */
export async function noteKeyring(tx: Tx, row: Omit<KeyringRow, 'intent'>): Promise<void> {
  await tx
    .updateTable('server')
    .set({
      keyring_id: row.keyringId,
      keyring_serial: row.serial,
      next_chunk: row.nextChunk,
      keyring_generation: row.generation,
      keyring_intent: null,
    })
    .execute()
}

/** Notes at once, outside of the caller's transaction, what the keyring is about to be written as. Whoever calls it holds the lock of the keyring. */
export async function noteIntent({ kysely }: Pick<Database, 'kysely'>, checksum: Buffer): Promise<void> {
  await kysely.updateTable('server').set({ keyring_intent: checksum }).execute()
}

/** Lets no user number up to this one be handed out again: its key has been destroyed. */
export async function skipUserNumbers(tx: Tx, through: number): Promise<void> {
  await sql`SELECT setval(pg_get_serial_sequence('users', 'user_number'), ${through})
    FROM pg_sequences WHERE sequencename = 'users_user_number_seq' AND coalesce(last_value, 0) < ${through}`.execute(tx)
}

/** Up to `limit` seals of values that are gone from the tables: their keys are to be destroyed. */
export async function deadSeals(reader: Reader, limit: number): Promise<Buffer[]> {
  const rows = await reader.selectFrom('dead_seals').select('seal').limit(limit).execute()
  return rows.map(row => row.seal)
}

/** How many seals wait for their keys to be destroyed. */
export async function countDeadSeals(reader: Reader): Promise<number> {
  const { count } = await reader
    .selectFrom('dead_seals')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return count
}

/** Notes seals whose keys are to be destroyed. */
export async function noteDeadSeals(tx: Tx, seals: readonly Buffer[]): Promise<void> {
  if (seals.length === 0) return
  await sql`INSERT INTO dead_seals SELECT unnest(${[...seals]}::bytea[]) ON CONFLICT DO NOTHING`.execute(tx)
}

/** Forgets the notes: their keys are destroyed. */
export async function deleteDeadSeals(tx: Tx, seals: readonly Buffer[]): Promise<void> {
  if (seals.length === 0) return
  await sql`DELETE FROM dead_seals WHERE seal = ANY(${[...seals]}::bytea[])`.execute(tx)
}

/** SQL for the beginning of a value, which says where its key stands if it is sealed. */
export const sealPartSql = (column: string): string => `substring(${column} FROM 1 FOR ${sealBytes})`

/** SQL that is true of a sealed value. */
export const isSealedSql = (column: string): string => `get_byte(${column}, ${sealLayout.form}) = ${forms.sealed}`

/**
 * SQL for the seal of a sealed value, as `dead_seals` holds it; `NULL` for one that is not sealed. For statements that
 * delete or overwrite: whatever is not sealed has no key that could be destroyed.
 */
export const sealOfSql = (column: string): string => `CASE WHEN ${isSealedSql(column)} THEN ${sealPartSql(column)} END`
