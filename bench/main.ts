import { writeFile } from 'node:fs/promises'
import { UsageError } from './errors.ts'
import { parseOptions, usage } from './options.ts'
import { countFailed, formatJson, formatTable } from './report.ts'
import { chooseScenarios, requireOwnTargets, runScenarios } from './runner.ts'
import { allScenarios } from './scenarios/all.ts'

/** Exit codes: 0 all was measured (budgets met or not), 1 something could not be measured, 2 the command was refused. */
async function main(argv: readonly string[]): Promise<number> {
  const options = parseOptions(argv)
  if (options === 'help') {
    console.log(usage)
    return 0
  }
  if (options === 'list') {
    for (const scenario of allScenarios({ fanOut: [200] })) console.log(`${scenario.name.padEnd(18)} ${scenario.title}`)
    return 0
  }
  const scenarios = chooseScenarios(allScenarios(options), options.only)
  await requireOwnTargets(options)
  const report = await runScenarios(options, scenarios, line => console.error(line))
  console.log(formatTable(report, options))
  if (options.jsonFile !== null) {
    await writeFile(options.jsonFile, formatJson(report, options, new Date().toISOString()))
  }
  return countFailed(report) === 0 ? 0 : 1
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(error.message)
  process.exitCode = 2
}
