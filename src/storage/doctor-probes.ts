import { type Reader, type Tx } from './database.ts'

/** Lets whoever knows the secret test the way to this server until then. */
export async function insertProbe(tx: Tx, secretHash: Buffer, expiresTs: number): Promise<void> {
  await tx.insertInto('doctor_probes').values({ secret_hash: secretHash, expires_ts: expiresTs }).execute()
}

/** True if a doctor has drawn this secret, and it has not expired at `nowTs`. */
export async function isProbe(reader: Reader, secretHash: Buffer, nowTs: number): Promise<boolean> {
  const row = await reader
    .selectFrom('doctor_probes')
    .select('expires_ts')
    .where('secret_hash', '=', secretHash)
    .where('expires_ts', '>', nowTs)
    .executeTakeFirst()
  return row !== undefined
}

export async function deleteProbe(tx: Tx, secretHash: Buffer): Promise<void> {
  await tx.deleteFrom('doctor_probes').where('secret_hash', '=', secretHash).execute()
}

/** Deletes those that have expired. Returns how many there were. */
export async function deleteExpiredProbes(tx: Tx, nowTs: number): Promise<number> {
  const { numDeletedRows } = await tx.deleteFrom('doctor_probes').where('expires_ts', '<=', nowTs).executeTakeFirst()
  return Number(numDeletedRows)
}
