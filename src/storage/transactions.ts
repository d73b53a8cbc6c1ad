import { createHash } from 'node:crypto'
import { type Reader, statement, type Tx } from './database.ts'

/**
 * The 16 bytes under which the answer to a request is found again. The parts are what makes two requests the same one:
 * user, device, path and transaction ID. No part can run into the next.
 */
export function requestHash(parts: readonly (string | null)[]): Buffer {
  return createHash('sha256').update(JSON.stringify(parts)).digest().subarray(0, 16)
}

/**
 * Notes that a request that makes no event is being answered in this transaction; false if it was answered before. Waits
 * for a transaction that is just answering the same request. The transaction ID itself is not kept: only the sender of an
 * event is told of it again.
 */
export async function rememberRequest(tx: Tx, hash: Buffer): Promise<boolean> {
  const row = await tx
    .insertInto('transactions')
    .values({ request_hash: hash, event_number: null, device_id: null, transaction_id: '' })
    .onConflict(conflict => conflict.doNothing())
    .returning('request_hash')
    .executeTakeFirst()
  return row !== undefined
}

/** The same for many at once, none of which is waited for. */
export async function rememberRequests(tx: Tx, hashes: readonly Buffer[]): Promise<void> {
  if (hashes.length === 0) return
  await tx
    .insertInto('transactions')
    .values(hashes.map(hash => ({ request_hash: hash, event_number: null, device_id: null, transaction_id: '' })))
    .onConflict(conflict => conflict.doNothing())
    .execute()
}

const remembered = statement<[readonly Buffer[]], { request_hash: Buffer }>(
  'transactions_remembered',
  'SELECT request_hash FROM transactions WHERE request_hash = ANY($1)',
)

/** Those of the hashes that are remembered, as hex. */
export async function rememberedAmong(reader: Reader, hashes: readonly Buffer[]): Promise<ReadonlySet<string>> {
  if (hashes.length === 0) return new Set()
  return new Set((await remembered.run(reader, [hashes])).map(row => row.request_hash.toString('hex')))
}
