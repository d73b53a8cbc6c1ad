import { type Config, loadConfig } from '../config.ts'
import { silentLogger } from '../log.ts'
import { withDatabase } from '../server.ts'
import { migrate, pendingMigrations, readMigrations } from '../storage/migrate.ts'
import { type CommonOptions, exits, type Outcome, show, withConfig } from './command.ts'
import { explain } from './explain.ts'

/** Brings the database to this version; with `plan` only says what that would do. */
export async function migrateCommand(options: CommonOptions & { readonly plan?: boolean }): Promise<number> {
  const loaded = loadConfig({ configFile: options.config ?? null })
  if (!loaded.ok) return withConfig(options, () => ({ json: null, lines: [] }))
  try {
    return show(await migrateNow(loaded.config, options.plan === true), options)
  } catch (error) {
    process.stderr.write(`${explain(error).replace('Lethe could not start', 'The database cannot be used')}\n`)
    return exits.unusable
  }
}

function migrateNow(config: Config, isPlan: boolean): Promise<Outcome> {
  return withDatabase(config, silentLogger, async db => {
    const migrations = await readMigrations()
    const names = isPlan ? await pendingMigrations(db.pool, migrations) : await migrate(db.pool, migrations)
    const word = isPlan ? 'Would apply' : 'Applied'
    const lines = names.length === 0 ? ['Nothing to do.'] : names.map(name => `${word} ${name}`)
    return { json: isPlan ? { pending: names } : { applied: names }, lines }
  })
}
