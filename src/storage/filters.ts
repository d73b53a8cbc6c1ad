import { type Reader, statement, type Tx } from './database.ts'

const findFilter = statement<[number, number], { body: string }>(
  'filter_body',
  'SELECT body FROM filters WHERE user_number = $1 AND filter_number = $2',
)

/** The JSON text of a filter; `null` if the user has none of that number. */
export async function filterOf(reader: Reader, userNumber: number, filterNumber: number): Promise<string | null> {
  return (await findFilter.first(reader, [userNumber, filterNumber]))?.body ?? null
}

/** The number of the user's filter with exactly this text, or `null`. */
export async function filterNumberOf(reader: Reader, userNumber: number, body: string): Promise<number | null> {
  const row = await reader
    .selectFrom('filters')
    .select('filter_number')
    .where('user_number', '=', userNumber)
    .where('body', '=', body)
    .limit(1)
    .executeTakeFirst()
  return row?.filter_number ?? null
}

/** Adds a filter and returns its number, one above the newest. Of more than `most` the oldest go. The account is locked. */
export async function insertFilter(tx: Tx, userNumber: number, body: string, most: number): Promise<number> {
  const newest = await tx
    .selectFrom('filters')
    .select(({ fn }) => fn.max('filter_number').as('number'))
    .where('user_number', '=', userNumber)
    .executeTakeFirstOrThrow()
  const filterNumber = (newest.number ?? 0) + 1
  await tx.insertInto('filters').values({ user_number: userNumber, filter_number: filterNumber, body }).execute()
  await tx
    .deleteFrom('filters')
    .where('user_number', '=', userNumber)
    .where('filter_number', '<=', filterNumber - most)
    .execute()
  return filterNumber
}
