import { LRUCache } from 'lru-cache'
import { memoryOf } from '../protocol/json-memory.ts'
import { type Reader } from './database.ts'
import { eventsByNumber } from './events.ts'
import { type StoredEvent } from './log-entries.ts'
import { type Numbers } from './numbers.ts'

/** Names an event in the form that it has now: another number, place or form is another event to the cache. */
export interface EventKey {
  readonly event_number: number
  readonly room_number: number
  readonly position: number | null
  readonly flags: number
}

/** The columns of an `EventKey`, over `events e`. */
export const eventKeyColumns = 'e.event_number, e.room_number, e.position, e.flags'

/** How much is kept decoded for those who sync first or after a long time, in bytes as estimated by `memoryOf`. */
const keptLimitBytes = 32 * 1024 * 1024
/** What a kept event costs beside its JSON: objects, the text that is made of it. */
const eventOverheadBytes = 1_500

/** By event number. One for each database, which its translator stands for. */
const caches = new WeakMap<Numbers, LRUCache<number, StoredEvent>>()

const keptEvents = {
  maxSize: keptLimitBytes,
  sizeCalculation: ({ event }: StoredEvent) => eventOverheadBytes + memoryOf(event.pdu),
}

function cacheOf(numbers: Numbers): LRUCache<number, StoredEvent> {
  let cache = caches.get(numbers)
  if (!cache) caches.set(numbers, (cache = new LRUCache<number, StoredEvent>(keptEvents)))
  return cache
}

/**
 * The events of the keys, by number; those that are damaged or gone are left out. Decoding an event costs more than all
 * else that a first sync does with it, and most who sync ask for the same ones.
 */
export async function loadEvents(
  reader: Reader,
  numbers: Numbers,
  keys: readonly EventKey[],
): Promise<Map<number, StoredEvent>> {
  const cache = cacheOf(numbers)
  const found = new Map<number, StoredEvent>()
  const missing: number[] = []
  for (const { event_number, position, flags } of keys) {
    const known = cache.get(event_number)
    if (known && known.position === position && known.flags === flags) found.set(event_number, known)
    else missing.push(event_number)
  }
  for (const stored of await eventsByNumber(reader, numbers, missing)) {
    cache.set(stored.eventNumber, stored)
    found.set(stored.eventNumber, stored)
  }
  return found
}

/** Drops what is kept of events that were pruned, or of all events of a room of which something was swept. */
export function dropEvents(
  numbers: Numbers,
  which: { readonly eventNumbers: readonly number[] } | { readonly roomNumber: number },
): void {
  const cache = cacheOf(numbers)
  if ('eventNumbers' in which) for (const number of which.eventNumbers) cache.delete(number)
  else for (const stored of cache.values()) if (stored.roomNumber === which.roomNumber) cache.delete(stored.eventNumber)
}
