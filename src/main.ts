#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

// What V8 makes of the files is kept beside them, and saves a start some hundred milliseconds. Not in the system's folder for
// temporary files: whoever may write there would decide what runs here. Where it cannot be written it is done without.
if (import.meta.filename.endsWith('.js')) enableCompileCache(join(import.meta.dirname, '.compile-cache'))

const { run } = await import('./cli/program.ts')
process.exit(await run(process.argv.slice(2)))
