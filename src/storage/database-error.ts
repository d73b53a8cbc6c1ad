import { types } from 'node:util'
import { AbortedTransactionError } from 'kysely'

/** What the SQLSTATE codes that we meet mean; everything else is named by its code alone.
 *  https://www.postgresql.org/docs/current/errcodes-appendix.html */
const MEANINGS: Readonly<Record<string, string>> = {
  '08006': 'the connection was lost',
  '22021': 'a text is not valid UTF-8',
  '23502': 'a column may not be null',
  '23503': 'a foreign key does not hold',
  '23505': 'a value must be unique',
  '23514': 'a check does not hold',
  '25P02': 'the transaction has failed already',
  '28000': 'the role may not log in',
  '28P01': 'the password is wrong',
  '3D000': 'the database does not exist',
  '40001': 'the transaction must be repeated',
  '40P01': 'a deadlock was broken',
  '42501': 'the role lacks a privilege',
  '42P01': 'a table does not exist',
  '53300': 'the database has no connection to spare',
  '55P03': 'a lock was not granted in time',
  '57014': 'the statement ran for too long or was cancelled',
  '57P01': 'the database is stopping',
  '57P03': 'the database is starting',
}

const COMPLAINT_LIMIT_CHARACTERS = 200

/** Codes of Node's sockets and of our own that mean the same as Postgres's class 08. */
const SOCKET_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EACCES',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
  'ETIMEDOUT',
])

/** A failure of the database without anything that came from a row or a parameter: node-pg's own errors carry row
 *  contents in `message`, `detail` and `where`, so they never leave storage. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError'
  /** A SQLSTATE (five characters), a socket's code (`ECONNREFUSED`), `CONNECTION` or `UNKNOWN`. */
  readonly code: string
  /** The constraint that was broken, if any. */
  readonly constraint: string | null
  /** The table it happened in, when Postgres says so. */
  readonly table: string | null
  /** Where in the statement's text the error is, in characters from 1, when Postgres says so. */
  readonly position: number | null

  constructor(
    code: string,
    constraint: string | null,
    table: string | null,
    place: { readonly position?: number; readonly complaint?: string } = {},
  ) {
    const meaning = MEANINGS[code] ?? (SOCKET_CODES.has(code) || code === 'CONNECTION' ? 'no connection' : null)
    const where = [
      constraint === null ? '' : `, constraint ${constraint}`,
      table === null ? '' : `, table ${table}`,
      place.complaint === undefined ? '' : `: ${place.complaint}`,
    ]
    super(`database error ${code}${meaning === null ? '' : ` (${meaning})`}${where.join('')}`)
    this.code = code
    this.constraint = constraint
    this.table = table
    this.position = place.position ?? null
  }

  /** True when the database is away, stopping or full: answer 503 and let the client try again. After such an error
   *  during COMMIT the outcome is unknown. */
  get isUnavailable(): boolean {
    return (
      this.code.startsWith('08') ||
      /^(57P0[1-5]|53...)$/.test(this.code) ||
      SOCKET_CODES.has(this.code) ||
      this.code === 'CONNECTION'
    )
  }

  /** True when the same transaction may succeed if it is run again: serialisation failure or deadlock. */
  get isRetryable(): boolean {
    return this.code === '40001' || this.code === '40P01'
  }

  /** True when nothing was wrong with what was asked for, and the same may succeed in a moment: the database is away, was too
   *  slow, or gave what was needed to somebody else. */
  get isPassing(): boolean {
    return this.isUnavailable || this.isRetryable || this.code === '57014' || this.code === '55P03'
  }

  /** True when a unique constraint was broken; with a name, when it was that one. */
  isUniqueViolation(constraint?: string): boolean {
    return this.code === '23505' && (constraint === undefined || constraint === this.constraint)
  }
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

/** node-pg reports a lost connection as plain errors with these texts. */
const LOST =
  /^(Connection terminated|Client (was closed|has encountered a connection error)|timeout exceeded|Query read timeout|Cannot use a pool after)/

/** Turns whatever a driver threw into a `DatabaseError`; keeps errors that are one already, and errors of our own code
 *  that merely passed through (those without a code that the driver makes). */
export function strippedError(error: unknown): unknown {
  if (error instanceof DatabaseError) return error
  // Kysely throws this when COMMIT answers ROLLBACK: a statement inside had failed and nobody re-threw it.
  if (error instanceof AbortedTransactionError) return new DatabaseError('25P02', null, null)
  // Not instanceof: in a test, errors of Node's own modules come from another realm.
  if (!types.isNativeError(error)) return error
  // The properties are read as unknown and checked one by one.
  const { code, constraint, table, position } = error as Partial<Record<string, unknown>> & Error
  if (typeof code === 'string' && (/^[0-9A-Z]{5}$/.test(code) || SOCKET_CODES.has(code))) {
    return new DatabaseError(code, textOrNull(constraint), textOrNull(table), {
      ...(typeof position === 'string' ? { position: Number(position) } : {}),
      // Class 42 complains of the statement itself (a column that does not exist), which is our own text: values travel
      // apart from it.
      ...(code.startsWith('42') ? { complaint: error.message.slice(0, COMPLAINT_LIMIT_CHARACTERS) } : {}),
    })
  }
  if (LOST.test(error.message)) return new DatabaseError('CONNECTION', null, null)
  if (typeof code === 'string') return new DatabaseError('UNKNOWN', null, null)
  return error
}
