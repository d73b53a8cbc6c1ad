import { createHash } from 'node:crypto'
import { type EventId } from '../identifiers.ts'

/** The SHA-1 of an event's ID in lower-case hexadecimal: the tie-break of state resolution 1, of no use for security. */
export function sha1OfEventId(id: EventId): string {
  return createHash('sha1').update(id, 'utf8').digest('hex')
}
