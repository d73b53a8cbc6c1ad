import { sql } from 'kysely'
import { type EventId, type UserId } from '../protocol/identifiers.ts'
import { type Reader, type Tx } from './database.ts'
import { sealPartSql } from './keyring-row.ts'
import { type ExpiredEvent } from './sweep.ts'

/**
 * What may be used once and is whole again in a database that was set back: one-time keys that were handed out since would
 * be handed out twice, and links and tokens that were used up would be good again. Fallback keys stay, since a device that is
 * away has nothing else, and count as used, so that it makes another.
 * https://spec.matrix.org/v1.19/client-server-api/#one-time-and-fallback-keys
 */
const usedUp = [
  'DELETE FROM one_time_keys',
  'UPDATE fallback_keys SET is_used = true WHERE NOT is_used',
  'DELETE FROM login_tokens',
  'DELETE FROM interactive_auth_sessions',
  'DELETE FROM page_sessions',
  'DELETE FROM join_links',
  'UPDATE server SET is_set_back = true',
] as const

/** Takes out of a database that was set back what must not be used twice, and notes that more has to go. It may take long: see `patientTransaction`. */
export async function markSetBack(tx: Tx): Promise<void> {
  for (const statement of usedUp) await sql.raw(statement).execute(tx)
}

/** True if the database was set back, and what has been forgotten since has not gone yet. */
export async function isSetBack(reader: Reader): Promise<boolean> {
  const row = await reader.selectFrom('server').select('is_set_back').executeTakeFirst()
  return row?.is_set_back === true
}

/** Notes that nothing is left that the keyring cannot open. */
export async function clearSetBack(tx: Tx): Promise<void> {
  await tx.updateTable('server').set({ is_set_back: false }).execute()
}

/** A message, with the beginning of what it is sealed as. */
export interface SealedMessage extends ExpiredEvent {
  /** Where its key stands; see `placeOf`. */
  readonly seal: Buffer
}

/** Up to `limit` messages whose numbers are above `after`, in the order of their numbers. */
export async function messagesAfter(reader: Reader, after: number, limit: number): Promise<SealedMessage[]> {
  const { rows } = await sql<{
    event_number: number
    room_number: number
    event_id: string
    position: number | null
    snapshot_number: number | null
    is_extremity: boolean
    seal: Buffer
  }>`SELECT e.event_number, e.room_number, e.event_id, e.position, e.snapshot_number,
       e.event_number = ANY (r.forward_extremities) AS is_extremity, ${sql.raw(sealPartSql('e.body'))} AS seal
     FROM events e JOIN rooms r USING (room_number)
     WHERE e.event_number > ${after} AND e.state_key_number IS NULL ORDER BY e.event_number LIMIT ${limit}`.execute(
    reader,
  )
  return rows.map(row => ({
    eventNumber: row.event_number,
    roomNumber: row.room_number,
    // The column holds nothing but event IDs that were parsed before they were inserted.
    eventId: row.event_id as EventId,
    position: row.position,
    snapshotNumber: row.snapshot_number,
    isExtremity: row.is_extremity,
    seal: row.seal,
  }))
}

/** An account that nobody has asked to be erased, as far as the database knows. */
export interface UnerasedAccount {
  readonly userId: UserId
  readonly userNumber: number
  readonly isDeactivated: boolean
}

/** Up to `limit` accounts that are not erased and whose numbers are above `after`, in the order of their numbers. */
export async function unerasedAccountsAfter(reader: Reader, after: number, limit: number): Promise<UnerasedAccount[]> {
  const rows = await reader
    .selectFrom('accounts as a')
    .innerJoin('users as u', 'u.user_number', 'a.user_number')
    .select(['u.user_id', 'a.user_number', 'a.is_deactivated'])
    .where('a.user_number', '>', after)
    .where('a.is_erased', '=', false)
    .orderBy('a.user_number')
    .limit(limit)
    .execute()
  // The column holds nothing but user IDs that were parsed before they were inserted.
  return rows.map(row => ({
    userId: row.user_id as UserId,
    userNumber: row.user_number,
    isDeactivated: row.is_deactivated,
  }))
}
