import { type Sealer } from '../privacy/seal.ts'
import { accountDataName, globalRoomNumber } from './account-data.ts'
import { type Reader, statement } from './database.ts'

/** The type of account data under which a user's push rules stand, outside all rooms. */
export const pushRulesType = 'm.push_rules'

const findContents = statement<[readonly number[], string], { user_number: number; content: Buffer }>(
  'push_rules',
  'SELECT user_number, content FROM account_data WHERE user_number = ANY($1) AND room_number = 0 AND type = $2',
)

/** The push rules of users in their stored form, as JSON text, by user number; those who never touched theirs are left out. */
export async function storedPushRulesOf(
  reader: Reader,
  sealer: Sealer,
  userNumbers: readonly number[],
): Promise<ReadonlyMap<number, string>> {
  const rows = await findContents.run(reader, [userNumbers, pushRulesType])
  return new Map(
    rows.flatMap(row => {
      const text = sealer.open(row.content, accountDataName(row.user_number, globalRoomNumber, pushRulesType))
      return text === null ? [] : [[row.user_number, text] as const]
    }),
  )
}
