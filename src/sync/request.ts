import { LRUCache } from 'lru-cache'
import { type Context, perServer } from '../context.ts'
import { badJson, invalidParam, missingParam } from '../errors.ts'
import { type User } from '../http/endpoint.ts'
import { type Filter, parseFilter } from '../protocol/filters.ts'
import { parseJson } from '../protocol/json-reader.ts'
import { filterOf } from '../storage/filters.ts'
import { parseSyncToken, type SyncToken } from './token.ts'

/** What a /sync asks for. */
export interface SyncRequest {
  readonly caller: User
  readonly filter: Filter
  /** `null`: an initial sync. */
  readonly since: SyncToken | null
  readonly fullState: boolean
  /** The keys under which the state at the end of the timeline is wanted; empty: the state at its start, as `state`. */
  readonly stateAfterKeys: readonly ('state_after' | 'org.matrix.msc4222.state_after')[]
  /** How long to wait for news. */
  readonly timeoutMs: number
}

/** A client may wait no longer; more is taken as this. */
export const timeoutLimitMs = 90_000

const emptyFilter = parseFilter({})

/** The filters that clients sent lately, by their text: every request of a client sends the same. */
const readFilters = new LRUCache<string, Filter>({ maxSize: 8 * 1024 * 1024, sizeCalculation: (_, text) => text.length + 500 }) // prettier-ignore

/** The texts of kept filters by user and number; what a number stands for never changes. */
const keptFilters = perServer(() => new LRUCache<string, string>({ maxSize: 8 * 1024 * 1024, sizeCalculation: text => text.length + 200 })) // prettier-ignore

function readFilter(text: string): Filter {
  const known = readFilters.get(text)
  if (known) return known
  const json = parseJson(text)
  if (!json.ok) throw badJson('The filter is not JSON')
  const parsed = parseFilter(json.value)
  if (!parsed.ok) throw invalidParam(`The filter is not valid: ${parsed.problem}`)
  readFilters.set(text, parsed.filter)
  return parsed.filter
}

async function keptFilter(ctx: Context, userNumber: number, name: string): Promise<string | null> {
  if (!/^\d{1,9}$/.test(name)) return null
  const key = `${userNumber} ${Number(name)}`
  const known = keptFilters(ctx).get(key)
  if (known !== undefined) return known
  const text = await filterOf(ctx.db.kysely, ctx.numbers.sealer, userNumber, Number(name))
  if (text !== null) keptFilters(ctx).set(key, text)
  return text
}

/**
 * The filter that a `filter` parameter names or is. Throws M_INVALID_PARAM or M_BAD_JSON for a bad one and for a number that
 * the user has no filter of. https://spec.matrix.org/v1.19/client-server-api/#filtering
 */
export async function filterFrom(ctx: Context, userNumber: number, text: string | undefined): Promise<Filter> {
  if (text === undefined) {
    if (!emptyFilter.ok) throw missingParam('filter')
    return emptyFilter.filter
  }
  // "The server will detect whether it is an ID or a JSON object by whether the first character is a "{" open brace."
  if (text.startsWith('{')) return readFilter(text)
  const stored = await keptFilter(ctx, userNumber, text)
  if (stored === null) throw invalidParam('There is no such filter')
  return readFilter(stored)
}

/** The token of a `since` parameter; `null` for one from a past that is lost, which starts its client afresh. Throws M_INVALID_PARAM. */
export function sinceFrom(ctx: Context, text: string | undefined): SyncToken | null {
  if (text === undefined || text === '') return null
  const token = parseSyncToken(text)
  if (!token) throw invalidParam('The since token is not valid')
  if (!ctx.log.covers(token.epoch, token.position)) return null
  return { ...token, epoch: ctx.log.epoch }
}
