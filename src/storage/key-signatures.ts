import { sql } from 'kysely'
import { type Reader, statement, type Tx } from './database.ts'

/** A signature that one user's key made over another key. */
export interface KeySignature {
  readonly targetNumber: number
  /** The device ID, or the public key, that names the signed key. */
  readonly targetKey: string
  readonly signerNumber: number
  /** `ed25519:` and the device ID, or the public key, that names the signing key. */
  readonly signerKeyId: string
  readonly signature: string
}

interface KeySignatureRow {
  target_number: number
  target_key: string
  signer_number: number
  signer_key_id: string
  signature: string
}

const visible = statement<[readonly number[], number | null], KeySignatureRow>(
  'key_signatures_visible',
  `SELECT target_number, target_key, signer_number, signer_key_id, signature FROM key_signatures
   WHERE target_number = ANY($1) AND (signer_number = target_number OR signer_number = $2)
   ORDER BY target_number, target_key, signer_number, signer_key_id`,
)

/**
 * The signatures over the keys of these users that somebody may see: what the users signed of their own, and what the
 * viewer signed. Who else has verified a user is nobody's business. `viewerNumber` null: another server.
 * https://spec.matrix.org/v1.19/client-server-api/#key-and-signature-security
 */
export async function visibleSignatures(
  reader: Reader,
  targetNumbers: readonly number[],
  viewerNumber: number | null,
): Promise<KeySignature[]> {
  const rows = await visible.run(reader, [targetNumbers, viewerNumber])
  return rows.map(row => ({
    targetNumber: row.target_number,
    targetKey: row.target_key,
    signerNumber: row.signer_number,
    signerKeyId: row.signer_key_id,
    signature: row.signature,
  }))
}

/** Adds signatures; one that is there already is replaced. */
export async function storeSignatures(tx: Tx, signatures: readonly KeySignature[]): Promise<void> {
  if (signatures.length === 0) return
  await sql`
    INSERT INTO key_signatures (target_number, target_key, signer_number, signer_key_id, signature)
    SELECT * FROM unnest(${signatures.map(each => each.targetNumber)}::integer[],
      ${signatures.map(each => each.targetKey)}::text[], ${signatures.map(each => each.signerNumber)}::integer[],
      ${signatures.map(each => each.signerKeyId)}::text[], ${signatures.map(each => each.signature)}::text[])
    ON CONFLICT (target_number, target_key, signer_number, signer_key_id)
    DO UPDATE SET signature = excluded.signature`.execute(tx)
}

/** Forgets the signatures over and by a cross-signing key that is given up. */
export async function deleteSignaturesOfKey(tx: Tx, userNumber: number, publicKey: string): Promise<void> {
  await tx
    .deleteFrom('key_signatures')
    .where('target_number', '=', userNumber)
    .where('target_key', '=', publicKey)
    .execute()
  await tx
    .deleteFrom('key_signatures')
    .where('signer_number', '=', userNumber)
    .where('signer_key_id', '=', `ed25519:${publicKey}`)
    .execute()
}

const signed = statement<[number], { target_number: number }>(
  'key_signatures_signed_by',
  'SELECT DISTINCT target_number FROM key_signatures WHERE signer_number = $1 AND target_number <> $1',
)

/** The other users whose keys this user has signed. */
export async function usersSignedBy(reader: Reader, signerNumber: number): Promise<number[]> {
  return (await signed.run(reader, [signerNumber])).map(row => row.target_number)
}
