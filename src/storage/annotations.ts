import { type EventId } from '../protocol/identifiers.ts'
import { relationOf } from '../protocol/relations.ts'
import { type Reader, statement } from './database.ts'
import { eventColumns, eventJoins, type EventRow, storedEvents } from './events.ts'
import { eventFlags } from './log-entries.ts'
import { type Numbers } from './numbers.ts'

const selectAnnotations = statement<[string, number, number, number], EventRow>(
  'annotations_by_sender',
  `SELECT ${eventColumns} FROM event_relations r JOIN events e ON e.event_number = r.child_number ${eventJoins}
   WHERE r.parent_id = $1 AND r.rel_type = 'm.annotation' AND e.sender_number = $2 AND e.type_number = $3
     AND e.flags & $4 = 0`,
)

/** True if the user has annotated an event with that type and key before, and has not taken it back since. */
export async function hasAnnotated(
  reader: Reader,
  numbers: Numbers,
  annotation: {
    readonly parentId: EventId
    readonly senderNumber: number
    readonly type: string
    readonly key: string | null
  },
): Promise<boolean> {
  const typeNumber = (await numbers.knownTypes([annotation.type])).get(annotation.type)
  if (typeNumber === undefined) return false
  const { rejected, redacted } = eventFlags
  const { parentId, senderNumber } = annotation
  const rows = await selectAnnotations.run(reader, [parentId, senderNumber, typeNumber, rejected | redacted])
  const events = await storedEvents(rows, numbers)
  return events.some(({ event }) => relationOf(event.content)?.key === annotation.key)
}
