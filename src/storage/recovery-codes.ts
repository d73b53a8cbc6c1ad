import { type Reader, type Tx } from './database.ts'

/** The hash of an account's recovery code; `null` if it has none. */
export async function recoveryCodeHash(reader: Reader, userNumber: number): Promise<Buffer | null> {
  const row = await reader
    .selectFrom('recovery_codes')
    .select('code_hash')
    .where('user_number', '=', userNumber)
    .executeTakeFirst()
  return row?.code_hash ?? null
}

/** Gives an account a code in place of the one that it may have. False, and nothing is written, if it is deactivated. */
export async function putRecoveryCode(tx: Tx, userNumber: number, codeHash: Buffer): Promise<boolean> {
  const result = await tx
    .insertInto('recovery_codes')
    .columns(['user_number', 'code_hash'])
    .expression(
      tx
        .selectFrom('accounts')
        .select(({ val }) => ['user_number', val(codeHash).as('code_hash')])
        .where('user_number', '=', userNumber)
        .where('is_deactivated', '=', false)
        // Deactivation, which deletes the code, comes before or after, not in between.
        .forNoKeyUpdate(),
    )
    .onConflict(conflict => conflict.column('user_number').doUpdateSet({ code_hash: codeHash }))
    .executeTakeFirst()
  return result.numInsertedOrUpdatedRows === 1n
}

/** Puts one code in the place of another. False, and nothing is written, if the account no longer has that one. */
export async function replaceRecoveryCode(tx: Tx, userNumber: number, from: Buffer, to: Buffer): Promise<boolean> {
  const result = await tx
    .updateTable('recovery_codes')
    .set({ code_hash: to })
    .where('user_number', '=', userNumber)
    .where('code_hash', '=', from)
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}
