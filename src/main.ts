#!/usr/bin/env -S node --max-semi-space-size=16
import { serve, usage as serveUsage } from './cli/serve.ts'

/** Each command takes what follows its name and resolves with the exit status. */
const commands: Readonly<Record<string, (parameters: readonly string[]) => Promise<number>>> = { serve }

const [name = '', ...parameters] = process.argv.slice(2)
const command = Object.hasOwn(commands, name) ? commands[name] : undefined
if (command) {
  process.exit(await command(parameters))
} else {
  process.stderr.write(`Usage:\n\n${serveUsage}\n`)
  process.exit(name === '--help' || name === 'help' ? 0 : 2)
}
