import { type Config } from '../config.ts'
import { silentLogger } from '../log.ts'
import { withDatabase } from '../server.ts'
import { migrate, type MigrationProgress, pendingMigrations, readMigrations } from '../storage/migrate.ts'
import { type CommonOptions, type Outcome, withConfig } from './command.ts'

/** Brings the database to this version; with `plan` only says what that would do. */
export function migrateCommand(options: CommonOptions & { readonly plan?: boolean }): Promise<number> {
  return withConfig(options, config => migrateNow(config, options))
}

function migrateNow(config: Config, options: CommonOptions & { readonly plan?: boolean }): Promise<Outcome> {
  return withDatabase(config, silentLogger, async db => {
    const migrations = await readMigrations()
    const isPlan = options.plan === true
    const tell = (progress: MigrationProgress) => process.stderr.write(`${migrationLine(progress, options)}\n`)
    const names = isPlan ? await pendingMigrations(db.pool, migrations) : await migrate(db.pool, migrations, tell)
    const word = isPlan ? 'Would apply' : 'Applied'
    const lines = names.length === 0 ? ['Nothing to do.'] : names.map(name => `${word} ${name}`)
    return { json: isPlan ? { pending: names } : { applied: names }, lines }
  })
}

/** Which change of how many begins. How long one takes depends on what is in the tables: nobody can say beforehand. */
export function migrationLine({ name, step, total }: MigrationProgress, options: CommonOptions): string {
  if (options.json !== true) return `Preparing the database, ${step} of ${total}: ${name}`
  return JSON.stringify({ progress: { what: name, done: step - 1, total, unit: 'migrations' } })
}
