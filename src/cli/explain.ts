import { type Problem } from '../config.ts'
import { describeError } from '../log.ts'

/** Errors whose messages are made for the operator. */
const forOperators = new Set([
  'StartError', 'KeyringError', 'SigningKeyError', 'MigrationError', 'EmbeddedPostgresError', 'DatabaseError', 'RangeError',
  'BackupError',
]) // prettier-ignore

/** What to tell the operator about an error that ended a command, after what came of it. */
export function explain(error: unknown, outcome = 'Lethe could not start'): string {
  if (!(error instanceof Error)) return `${outcome}.`
  if (forOperators.has(error.name)) return `${outcome}: ${error.message}`
  // Read as unknown and checked.
  const { code, address, port } = error as { code?: unknown; address?: unknown; port?: unknown }
  if (code === 'EADDRINUSE') return `${outcome}: ${String(address)} port ${String(port)} is in use already.`
  if (code === 'EACCES' && port !== undefined) return `${outcome}: port ${String(port)} is not allowed.`
  if (typeof code === 'string') return `${outcome}: ${error.message}`
  const { error: name, stack } = describeError(error)
  return `${outcome}: ${name} ${error.message}\n${stack}`
}

/** Everything that is wrong with the settings, a line for each. */
export function explainSettings(problems: readonly Problem[]): string {
  return `The settings are wrong:\n${problems.map(problemLine).join('\n')}`
}

/** One line about what is wrong with the settings. */
export function problemLine(problem: Problem): string {
  return `  ${problem.key} ${problem.message}${problem.hint ? ` (${problem.hint})` : ''}`
}
