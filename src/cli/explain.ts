import { describeError } from '../log.ts'

/** Errors whose messages are made for the operator. */
const forOperators = new Set([
  'StartError', 'KeyringError', 'SigningKeyError', 'MigrationError', 'EmbeddedPostgresError', 'DatabaseError', 'RangeError',
  'BackupError',
]) // prettier-ignore

/** What to tell the operator about an error that ended a command. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return 'Lethe could not start.'
  if (forOperators.has(error.name)) return `Lethe could not start: ${error.message}`
  // Read as unknown and checked.
  const { code, address, port } = error as { code?: unknown; address?: unknown; port?: unknown }
  if (code === 'EADDRINUSE') return `Lethe could not start: ${String(address)} port ${String(port)} is in use already.`
  if (code === 'EACCES' && port !== undefined) return `Lethe could not start: port ${String(port)} is not allowed.`
  if (typeof code === 'string') return `Lethe could not start: ${error.message}`
  const { error: name, stack } = describeError(error)
  return `Lethe could not start: ${name} ${error.message}\n${stack}`
}
