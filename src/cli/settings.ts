import { stringify } from 'yaml'
import { type Config, configJsonSchema, loadConfig, maskedConfig } from '../config.ts'
import { type CommonOptions, exits, fail, type Outcome, show } from './command.ts'
import { explainSettings, problemLine } from './explain.ts'

/** Says whether the settings are right, and what of them the operator may not have meant. */
export function checkConfig(options: CommonOptions): number {
  const loaded = loadConfig({ configFile: options.config ?? null })
  if (!loaded.ok) return fail(explainSettings(loaded.problems), exits.unusable, options)
  const { serverName } = loaded.config
  const warnings = loaded.warnings.map(problem => problemLine(problem).trim())
  return show(
    {
      json: { ok: true, server_name: serverName, warnings },
      lines: [`The settings are right: ${serverName}.`, ...warnings.map(warning => `Warning: ${warning}`)],
    },
    options,
  )
}

/** The settings with their defaults, secrets masked. */
export function shownConfig(config: Config): Outcome {
  const masked = maskedConfig(config)
  return { json: masked, lines: [stringify(masked).trimEnd()] }
}

/** The JSON Schema of the settings. */
export function shownSchema(options: CommonOptions): number {
  const schema = configJsonSchema()
  return show({ json: schema, lines: [JSON.stringify(schema, null, 2)] }, options)
}
