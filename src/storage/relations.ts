import { type EventId } from '../protocol/identifiers.ts'
import { type Reader, statement } from './database.ts'
import { eventColumns, eventJoins, type EventRow, storedEvents } from './events.ts'
import { type StoredEvent } from './log-entries.ts'
import { type Numbers } from './numbers.ts'

/** Children that count: in the timeline, not refused, not redacted, and alive: not older than `$2`, and not gone before `$3`. */
const living = `e.position IS NOT NULL AND e.flags = 0 AND e.age_ts >= $2
  AND (e.self_destruct_ts IS NULL OR e.self_destruct_ts >= $3)`

/** How many references of one event are bundled. */
const bundledReferences = 100

/** What is bundled with an event of the timeline. */
export interface RelatedEvents {
  /** How many events its thread has, and the newest; `null` if it is no thread's root. */
  readonly thread: { readonly count: number; readonly latest: StoredEvent; readonly hasParticipated: boolean } | null
  /** The newest edit by its own sender. */
  readonly edit: StoredEvent | null
  readonly references: readonly EventId[]
}

const threads = statement<
  [readonly EventId[], number, number, number, readonly number[]],
  EventRow & { parent_id: string; count: number; participated: boolean }
>(
  'relations_threads',
  `SELECT parent.id AS parent_id, total.count, total.participated, ${eventColumns}
   FROM unnest($1::text[]) AS parent (id)
   CROSS JOIN LATERAL (SELECT count(*) AS count, bool_or(e.sender_number = $4) AS participated, max(r.child_number) AS latest
     FROM event_relations r JOIN events e ON e.event_number = r.child_number
     WHERE r.parent_id = parent.id AND r.rel_type = 'm.thread' AND ${living} AND e.sender_number <> ALL($5)) total
   JOIN events e ON e.event_number = total.latest ${eventJoins}`,
)
const edits = statement<[readonly EventId[], number, number], EventRow & { parent_id: string }>(
  'relations_edits',
  `SELECT DISTINCT ON (r.parent_id) r.parent_id, ${eventColumns}
   FROM event_relations r JOIN events e ON e.event_number = r.child_number ${eventJoins}
   JOIN events parent ON parent.event_id = r.parent_id AND parent.sender_number = e.sender_number
     AND parent.type_number = e.type_number AND parent.room_number = e.room_number
   WHERE r.parent_id = ANY($1) AND r.rel_type = 'm.replace' AND ${living}
   ORDER BY r.parent_id, e.origin_server_ts DESC, e.event_id DESC`,
)
const references = statement<
  [readonly EventId[], number, number, readonly number[]],
  { parent_id: string; event_id: string }
>(
  'relations_references',
  `SELECT parent.id AS parent_id, child.event_id FROM unnest($1::text[]) AS parent (id)
   CROSS JOIN LATERAL (SELECT e.event_id FROM event_relations r JOIN events e ON e.event_number = r.child_number
     WHERE r.parent_id = parent.id AND r.rel_type = 'm.reference' AND ${living} AND e.sender_number <> ALL($4)
     ORDER BY r.child_number LIMIT ${bundledReferences}) child`,
)
const related = statement<[readonly EventId[]], { parent_id: string; rel_type: string }>(
  'relations_kinds',
  `SELECT DISTINCT parent_id, rel_type FROM event_relations
   WHERE parent_id = ANY($1) AND rel_type IN ('m.thread', 'm.replace', 'm.reference')`,
)

/**
 * What is bundled with each of the events that has anything bundled. `livingSinceTs`: children older than this have
 * expired, as have those that were to be gone before `nowTs`. `viewerNumber`: whose participation in threads is asked for.
 * `ignoredNumbers` gives the users whose children do not count.
 */
export async function relatedEvents(
  reader: Reader,
  numbers: Numbers,
  parents: readonly EventId[],
  livingSinceTs: number,
  nowTs: number,
  viewerNumber: number,
  ignoredNumbers: () => Promise<readonly number[]>,
): Promise<Map<EventId, RelatedEvents>> {
  if (parents.length === 0) return new Map()
  const kinds = await related.run(reader, [parents])
  if (kinds.length === 0) return new Map()
  // The column holds nothing but event IDs that were parsed before they were inserted; so do those below.
  const ofKind = (relType: string) => kinds.filter(row => row.rel_type === relType).map(row => row.parent_id as EventId)
  const ignored = await ignoredNumbers()
  const [threadRows, editRows, referenceRows] = await Promise.all([
    threads.run(reader, [ofKind('m.thread'), livingSinceTs, nowTs, viewerNumber, ignored]),
    edits.run(reader, [ofKind('m.replace'), livingSinceTs, nowTs]),
    references.run(reader, [ofKind('m.reference'), livingSinceTs, nowTs, ignored]),
  ])
  const stored = await storedEvents([...threadRows, ...editRows], numbers)
  const byNumber = new Map(stored.map(event => [event.eventNumber, event]))
  const result = new Map<EventId, RelatedEvents>()
  for (const parent of parents) {
    const thread = threadRows.find(row => row.parent_id === parent)
    const latest = thread && byNumber.get(thread.event_number)
    const edit = editRows.find(row => row.parent_id === parent)
    const found: RelatedEvents = {
      thread: thread && latest ? { count: thread.count, latest, hasParticipated: thread.participated } : null,
      edit: (edit && byNumber.get(edit.event_number)) ?? null,
      references: referenceRows.filter(row => row.parent_id === parent).map(row => row.event_id as EventId),
    }
    if (found.thread || found.edit || found.references.length > 0) result.set(parent, found)
  }
  return result
}

/** Which children of an event are wanted. */
export interface ChildrenQuery {
  readonly roomNumber: number
  readonly parents: readonly EventId[]
  readonly relType: string | null
  readonly eventType: string | null
  /** Positions after this, up to and including `upTo`. */
  readonly after: number
  readonly upTo: number
  readonly direction: 'forward' | 'backward'
  readonly limit: number
}

const childrenSql = (order: 'ASC' | 'DESC') => `SELECT ${eventColumns}
  FROM event_relations r JOIN events e ON e.event_number = r.child_number JOIN event_types y USING (type_number) ${eventJoins}
  WHERE r.parent_id = ANY($1) AND r.room_number = $2 AND ($3::text IS NULL OR r.rel_type = $3)
    AND ($4::text IS NULL OR y.type = $4) AND e.position > $5 AND e.position <= $6 AND (e.flags & 4) = 0
  ORDER BY e.position ${order} LIMIT $7`
type ChildrenParameters = [readonly EventId[], number, string | null, string | null, number, number, number]
const childrenForward = statement<ChildrenParameters, EventRow>('relations_children_forward', childrenSql('ASC'))
const childrenBackward = statement<ChildrenParameters, EventRow>('relations_children_backward', childrenSql('DESC'))

/** The events that are related to the parents, in the order of walking. */
export async function children(reader: Reader, numbers: Numbers, query: ChildrenQuery): Promise<StoredEvent[]> {
  const walk = query.direction === 'forward' ? childrenForward : childrenBackward
  const { parents, roomNumber, relType, eventType, after, upTo, limit } = query
  return storedEvents(await walk.run(reader, [parents, roomNumber, relType, eventType, after, upTo, limit]), numbers)
}

const threadRoots = statement<[number, number, number | null, number], EventRow & { latest: number }>(
  'relations_thread_roots',
  `SELECT latest.position AS latest, ${eventColumns}
   FROM (SELECT r.parent_id, max(c.position) AS position FROM event_relations r JOIN events c ON c.event_number = r.child_number
     WHERE r.room_number = $1 AND r.rel_type = 'm.thread' AND c.flags = 0 GROUP BY r.parent_id) latest
   JOIN events e ON e.event_id = latest.parent_id AND e.room_number = $1 ${eventJoins}
   WHERE latest.position <= $2 AND ($3::integer IS NULL OR e.sender_number = $3 OR EXISTS (
     SELECT FROM event_relations r JOIN events c ON c.event_number = r.child_number
     WHERE r.parent_id = e.event_id AND r.rel_type = 'm.thread' AND c.sender_number = $3))
   ORDER BY latest.position DESC LIMIT $4`,
)

/**
 * The roots of a room's threads, those with the newest events first, each with the position of its newest event.
 * `participantNumber`: only threads that this user took part in.
 */
export async function threadsOf(
  reader: Reader,
  numbers: Numbers,
  roomNumber: number,
  upTo: number,
  participantNumber: number | null,
  limit: number,
): Promise<{ root: StoredEvent; latestPosition: number }[]> {
  const rows = await threadRoots.run(reader, [roomNumber, upTo, participantNumber, limit])
  const roots = new Map((await storedEvents(rows, numbers)).map(root => [root.eventNumber, root]))
  return rows.flatMap(row => {
    const root = roots.get(row.event_number)
    return root ? [{ root, latestPosition: row.latest }] : []
  })
}
