import { sql } from 'kysely'
import { type JsonObject } from '../protocol/json.ts'
import { type Reader, statement, type Tx } from './database.ts'
import { storedObject } from './stored-object.ts'

/** The three cross-signing keys of a user. https://spec.matrix.org/v1.19/client-server-api/#cross-signing */
export type CrossSigningUsage = 'master' | 'self_signing' | 'user_signing'

/** A user's cross-signing keys as they were uploaded, signatures of their own included. */
export type CrossSigningKeys = ReadonlyMap<CrossSigningUsage, JsonObject>

const ofUsers = statement<[readonly number[]], { user_number: number; usage: string; keys: string }>(
  'cross_signing_keys_of_users',
  'SELECT user_number, usage, keys FROM cross_signing_keys WHERE user_number = ANY($1)',
)

/** The cross-signing keys of those of the users that have any. */
export async function crossSigningKeysOfUsers(
  reader: Reader,
  userNumbers: readonly number[],
): Promise<ReadonlyMap<number, CrossSigningKeys>> {
  const found = new Map<number, Map<CrossSigningUsage, JsonObject>>()
  for (const row of await ofUsers.run(reader, [userNumbers])) {
    const keys = storedObject(row.keys)
    if (!keys) continue
    const ofUser = found.get(row.user_number) ?? new Map<CrossSigningUsage, JsonObject>()
    // The column is checked to hold one of the three.
    found.set(row.user_number, ofUser.set(row.usage as CrossSigningUsage, keys))
  }
  return found
}

/** The cross-signing keys of one user; empty where there are none. */
export async function crossSigningKeysOf(reader: Reader, userNumber: number): Promise<CrossSigningKeys> {
  return (await crossSigningKeysOfUsers(reader, [userNumber])).get(userNumber) ?? new Map()
}

/**
 * Lets one transaction at a time decide about a user's cross-signing keys; the others wait until it ends. Two first uploads
 * at once must not both find that there is nothing yet.
 */
export async function lockCrossSigning(tx: Tx, userNumber: number): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(hashtext('cross_signing_keys'), ${userNumber})`.execute(tx)
}

/** Sets one of a user's cross-signing keys: canonical JSON. */
export async function storeCrossSigningKey(
  tx: Tx,
  userNumber: number,
  usage: CrossSigningUsage,
  keys: string,
): Promise<void> {
  await tx
    .insertInto('cross_signing_keys')
    .values({ user_number: userNumber, usage, keys })
    .onConflict(conflict => conflict.columns(['user_number', 'usage']).doUpdateSet({ keys }))
    .execute()
}

/** Removes one of a user's cross-signing keys. */
export async function deleteCrossSigningKey(tx: Tx, userNumber: number, usage: CrossSigningUsage): Promise<void> {
  await tx.deleteFrom('cross_signing_keys').where('user_number', '=', userNumber).where('usage', '=', usage).execute()
}
