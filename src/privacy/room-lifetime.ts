import { type Context } from '../context.ts'
import { retentionStateTypes } from '../protocol/retention.ts'
import { type RoomHead } from '../rooms/head.ts'
import { lifetimeIn } from '../rooms/visibility.ts'

/** How long messages live in a room, and who says so. */
export interface RoomLifetime {
  /** `null`: as long as the server. */
  readonly maxLifetimeMs: number | null
  /** `operator` too where the operator's limits have changed what the room asked for. */
  readonly setBy: 'room' | 'operator' | 'nobody'
}

/** The lifetime of messages that is in force in a room. */
export function roomLifetime(ctx: Context, head: RoomHead): RoomLifetime {
  const { maxLifetime } = lifetimeIn(ctx, head)
  if (maxLifetime === null) return { maxLifetimeMs: null, setBy: 'nobody' }
  const asked = retentionStateTypes.map(type => head.event(type)?.content['max_lifetime'])
  return { maxLifetimeMs: maxLifetime, setBy: asked.includes(maxLifetime) ? 'room' : 'operator' }
}

const units = [
  { ms: 365 * 86_400_000, one: 'year' },
  { ms: 86_400_000, one: 'day' },
  { ms: 3_600_000, one: 'hour' },
  { ms: 60_000, one: 'minute' },
  { ms: 1_000, one: 'second' },
]

/** A span of time in words: the largest unit of which it is a whole number. */
export function spanWords(ms: number): string {
  const unit = units.find(each => ms >= each.ms && ms % each.ms === 0)
  if (!unit) return `${ms} milliseconds`
  const count = ms / unit.ms
  return count === 1 ? `1 ${unit.one}` : `${count} ${unit.one}s`
}

/** A room's lifetime in a sentence. */
export function lifetimeSentence({ maxLifetimeMs, setBy }: RoomLifetime): string {
  if (maxLifetimeMs === null) return 'Messages are kept as long as the server.'
  const by = setBy === 'room' ? 'the room' : 'the operator of this server'
  return `Messages disappear after ${spanWords(maxLifetimeMs)}; set by ${by}.`
}
