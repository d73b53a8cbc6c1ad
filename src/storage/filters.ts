import { type Sealer } from '../privacy/seal.ts'
import { type Reader, statement, type Tx } from './database.ts'

/** What a filter is sealed under. */
export const filterSealName = (userNumber: number, filterNumber: number): string =>
  `filter ${userNumber} ${filterNumber}`

const findFilter = statement<[number, number], { body: Buffer }>(
  'filter_body',
  'SELECT body FROM filters WHERE user_number = $1 AND filter_number = $2',
)

/** The JSON text of a filter; `null` if the user has none of that number. */
export async function filterOf(
  reader: Reader,
  sealer: Sealer,
  userNumber: number,
  filterNumber: number,
): Promise<string | null> {
  const row = await findFilter.first(reader, [userNumber, filterNumber])
  return row && sealer.open(row.body, filterSealName(userNumber, filterNumber))
}

/** The number of the user's filter with exactly this text, or `null`. */
export async function filterNumberOf(
  reader: Reader,
  sealer: Sealer,
  userNumber: number,
  body: string,
): Promise<number | null> {
  // What is sealed cannot be compared, but the same text is as long each time: hardly any other need be opened.
  const { length } = sealer.seal(body, sealer.accountPlace(userNumber), 'filter')
  const rows = await reader
    .selectFrom('filters')
    .select(['filter_number', 'body'])
    .where('user_number', '=', userNumber)
    .where(({ fn }) => fn('octet_length', ['body']), '=', length)
    .orderBy('filter_number', 'desc')
    .execute()
  const known = rows.find(row => sealer.open(row.body, filterSealName(userNumber, row.filter_number)) === body)
  return known?.filter_number ?? null
}

/** Adds a filter and returns its number, one above the newest. Of more than `most` the oldest go. The account is locked. */
export async function insertFilter(
  tx: Tx,
  sealer: Sealer,
  userNumber: number,
  body: string,
  most: number,
): Promise<number> {
  const newest = await tx
    .selectFrom('filters')
    .select(({ fn }) => fn.max('filter_number').as('number'))
    .where('user_number', '=', userNumber)
    .executeTakeFirstOrThrow()
  const filterNumber = (newest.number ?? 0) + 1
  const sealed = sealer.seal(body, sealer.accountPlace(userNumber), filterSealName(userNumber, filterNumber))
  await tx
    .insertInto('filters')
    .values({ user_number: userNumber, filter_number: filterNumber, body: sealed })
    .execute()
  await tx
    .deleteFrom('filters')
    .where('user_number', '=', userNumber)
    .where('filter_number', '<=', filterNumber - most)
    .execute()
  return filterNumber
}
