import { access, mkdir, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { stringify } from 'yaml'
import { type Config, configJsonSchema, maskedConfig } from '../config.ts'
import { parseServerName } from '../protocol/identifiers.ts'
import { type CommonOptions, exits, type Outcome, show } from './command.ts'
import { explain } from './explain.ts'

/** That the settings are right: where they are not, the command does not come this far. */
export function checkedConfig(config: Config): Outcome {
  return {
    json: { ok: true, server_name: config.serverName },
    lines: [`The settings are right: ${config.serverName}.`],
  }
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

/** Writes a settings file to begin with, and the folder for it, unless there is one. */
export async function init(options: CommonOptions & { readonly serverName: string }): Promise<number> {
  const file = resolve(options.config ?? 'lethe.yaml')
  if (parseServerName(options.serverName) === null) {
    return show({ json: { error: 'server name' }, lines: [`"${options.serverName}" is not a server name`], exit: exits.usage }, options) // prettier-ignore
  }
  const isThere = await access(file).then(
    () => true,
    () => false,
  )
  if (isThere) return show({ json: { error: 'exists' }, lines: [`${file} is there already.`], exit: exits.failed }, options) // prettier-ignore
  try {
    await mkdir(dirname(file), { recursive: true })
    // Nobody but the operator: secrets may come to stand in it.
    await writeFile(file, stringify({ server_name: options.serverName }), { mode: 0o600, flag: 'wx' })
  } catch (error) {
    const line = explain(error).replace('Lethe could not start', `${file} cannot be written`)
    return show({ json: { error: 'not written' }, lines: [line], exit: exits.failed }, options)
  }
  return show({ json: { file }, lines: [`Wrote ${file}. Start with: lethe serve`] }, options)
}
