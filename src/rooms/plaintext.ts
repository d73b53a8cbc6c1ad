import { type Context } from '../context.ts'
import { forbidden, type MatrixError } from '../errors.ts'
import { type RoomHead } from './head.ts'

/**
 * What clients send in the clear in encrypted rooms, because it says nothing or cannot be encrypted: reactions, whose
 * relation has to be readable; redactions; and the steps of a verification, which are public keys and proofs. Signalling of
 * calls is not among them: it names addresses.
 */
const clearTypes: ReadonlySet<string> = new Set(['m.room.encrypted', 'm.reaction', 'm.room.redaction'])
const verificationPrefix = 'm.key.verification.'

/** True for types of message events that belong into an encrypted room as they are. */
function mayBeClear(type: string): boolean {
  return clearTypes.has(type) || type.startsWith(verificationPrefix)
}

/**
 * Throws M_FORBIDDEN for a message event of this server's that would say in an encrypted room what everybody else encrypts
 * there. A room is encrypted from its first `m.room.encryption` on, whatever that says: clients do not go back either.
 * https://spec.matrix.org/v1.19/client-server-api/#mroomencryption
 */
export function refusePlaintext(ctx: Context, head: RoomHead, type: string): void {
  if (!ctx.config.encryption.refusePlaintext || mayBeClear(type)) return
  if (head.event('m.room.encryption') !== null) throw plaintextRefused()
}

const plaintextRefused = (): MatrixError =>
  forbidden('This room is encrypted, and messages that are not are refused here: use a client that can encrypt')
