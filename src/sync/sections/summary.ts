import { LRUCache } from 'lru-cache'
import { type Context, perServer } from '../../context.ts'
import { type User } from '../../http/endpoint.ts'
import { type UserId } from '../../protocol/identifiers.ts'
import { type RoomHead } from '../../rooms/head.ts'
import { heroesOf, memberCountsOf } from '../../storage/sync-rooms.ts'
import { type Source } from '../source.ts'

/** What a client needs to name a room. https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync */
export interface Summary {
  readonly joined: number
  readonly invited: number
  /** `null` for a room that has a name or a canonical alias. */
  readonly heroes: readonly UserId[] | null
}

/** A room whose summary is wanted, and the position of the newest change of a member that is known of. */
export interface SummaryWanted {
  readonly head: RoomHead
  readonly changedAt: number
}

/** What everybody's summary of a room is made of. */
interface Members {
  readonly changedAt: number
  readonly joined: number
  readonly invited: number
  readonly present: readonly number[]
  readonly past: readonly number[]
}

const heroLimit = 5
const rememberedLimit = 10_000

/** By room number: when somebody joins, everybody in the room asks for the same. */
const remembered = perServer(() => new LRUCache<number, Members>({ max: rememberedLimit }))

/** The summaries of rooms, by room number. */
export async function summariesOf(
  ctx: Context,
  source: Source,
  caller: User,
  wanted: readonly SummaryWanted[],
): Promise<Map<number, Summary>> {
  const cache = remembered(ctx)
  const known = new Map<number, Members>()
  const missing: SummaryWanted[] = []
  for (const each of wanted) {
    const { roomNumber } = each.head.facts
    const members = cache.get(roomNumber)
    if (members && members.changedAt === each.changedAt) known.set(roomNumber, members)
    else missing.push(each)
  }
  const rooms = missing.map(({ head }) => head.facts.roomNumber)
  // One's own place may be among the first, so one more is asked for.
  const [counts, heroes] = [
    await memberCountsOf(source.reader, rooms),
    await heroesOf(source.reader, rooms, heroLimit + 1),
  ]
  for (const { head, changedAt } of missing) {
    const { roomNumber } = head.facts
    const members = {
      changedAt,
      ...(counts.get(roomNumber) ?? { joined: 0, invited: 0 }),
      ...(heroes.get(roomNumber) ?? { present: [], past: [] }),
    }
    cache.set(roomNumber, members)
    known.set(roomNumber, members)
  }
  const summaries = new Map<number, Summary>()
  for (const { head } of wanted) {
    const members = known.get(head.facts.roomNumber)
    if (!members) continue
    const { joined, invited } = members
    summaries.set(head.facts.roomNumber, {
      joined,
      invited,
      heroes: isNamed(head) ? null : await heroesAmong(ctx, caller, members),
    })
  }
  return summaries
}

/** "Required if the room's `m.room.name` or `m.room.canonical_alias` state events are unset or empty." */
function isNamed(head: RoomHead): boolean {
  const name = head.event('m.room.name')?.content['name']
  const alias = head.event('m.room.canonical_alias')?.content['alias']
  return [name, alias].some(text => typeof text === 'string' && text !== '')
}

async function heroesAmong(ctx: Context, caller: User, { present, past }: Members): Promise<UserId[]> {
  const others = (numbers: readonly number[]) => numbers.filter(number => number !== caller.userNumber)
  const shown = others(present)
  const chosen = (shown.length > 0 ? shown : others(past)).slice(0, heroLimit)
  const names = await ctx.numbers.userIds(chosen)
  return chosen.flatMap(number => names.get(number) ?? [])
}

/** A summary as JSON text. */
export function summaryText({ joined, invited, heroes }: Summary): string {
  const named = heroes === null ? '' : `"m.heroes":${JSON.stringify(heroes)},`
  return `{${named}"m.joined_member_count":${joined},"m.invited_member_count":${invited}}`
}
