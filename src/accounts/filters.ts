import { type Context } from '../context.ts'
import { badJson, notFound } from '../errors.ts'
import { parseFilter } from '../protocol/filters.ts'
import { type JsonObject } from '../protocol/json.ts'
import { lockAccount } from '../storage/accounts.ts'
import { transaction } from '../storage/database.ts'
import { filterNumberOf, filterOf, insertFilter } from '../storage/filters.ts'
import { type AccountOwner } from './account.ts'

/** Filters that are kept for each user: of more, the oldest go, and clients make theirs anew. */
export const filterLimit = 100

/**
 * Keeps a filter and returns its ID; one that is kept already gets no second. Throws `badJson` for what is no filter.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter
 */
export async function keepFilter(ctx: Context, owner: AccountOwner, filter: JsonObject): Promise<string> {
  const parsed = parseFilter(filter)
  if (!parsed.ok) throw badJson(parsed.problem)
  const body = JSON.stringify(filter)
  const known = await filterNumberOf(ctx.db.kysely, ctx.numbers.sealer, owner.userNumber, body)
  if (known !== null) return String(known)
  const number = await transaction(ctx.db, async tx => {
    await lockAccount(tx, owner.userNumber)
    return (
      (await filterNumberOf(tx, ctx.numbers.sealer, owner.userNumber, body)) ??
      (await insertFilter(tx, ctx.numbers.sealer, owner.userNumber, body, filterLimit))
    )
  })
  return String(number)
}

/** The JSON text of a kept filter. Throws `notFound`. */
export async function keptFilter(ctx: Context, owner: AccountOwner, filterId: string): Promise<string> {
  const number = /^[1-9]\d{0,8}$/.test(filterId) ? Number(filterId) : null
  const body = number === null ? null : await filterOf(ctx.db.kysely, ctx.numbers.sealer, owner.userNumber, number)
  if (body === null) throw notFound('There is no such filter')
  return body
}
