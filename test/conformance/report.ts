/** How one test ended. A test that began and never ended (a crash, a time limit) has failed. */
export type Outcome = 'pass' | 'fail' | 'skip'

/** One test or subtest; the parts of a subtest's name are parted by `/`. */
export interface TestResult {
  readonly name: string
  readonly outcome: Outcome
  readonly seconds: number
  /** The end of what a failing or skipped test printed; empty for one that passed. */
  readonly output: string
}

/** The tests of one package, in the order in which they began. */
export interface PackageResult {
  /** The last part of the package's path, such as `csapi`. */
  readonly name: string
  readonly tests: readonly TestResult[]
  /** Why the package's list of tests is not to be relied on: it failed without a failing test (it did not build), or it
   *  crashed in a test, so that tests after it may not have run. Null when neither is so. */
  readonly brokenBy: string | null
}

/** Why tests are expected to fail: test name → one sentence. A name covers its subtests. */
export type Reasons = Readonly<Record<string, string>>

const outputLimitCharacters = 4_000

interface Entry {
  outcome: Outcome | null
  seconds: number
  output: string
}

/** Collects the event stream of a Go test run (`go test -json`, `test2json`), line by line. Lines that are no such event
 *  are kept as the output of the run and otherwise ignored. */
export class ResultCollector {
  readonly #packages = new Map<string, { tests: Map<string, Entry>; output: string; failed: boolean }>()
  /** What the compiler said; its events name what it compiles, which need not be a package that is tested. */
  #buildOutput = ''

  /** Takes one line of the stream, without its line end. Returns the name and outcome of the test that it ends, if it
   *  ends one, and null otherwise. */
  add(line: string): { readonly name: string; readonly outcome: Outcome } | null {
    const event = eventOf(line)
    if (event === null) return null
    if (event.action === 'build-output') {
      this.#buildOutput = tail(this.#buildOutput + event.output)
      return null
    }
    let owner = this.#packages.get(event.package)
    if (owner === undefined) {
      owner = { tests: new Map(), output: '', failed: false }
      this.#packages.set(event.package, owner)
    }
    if (event.test === null) {
      if (event.action === 'fail') owner.failed = true
      owner.output = tail(owner.output + event.output)
      return null
    }
    let entry = owner.tests.get(event.test)
    if (entry === undefined) {
      entry = { outcome: null, seconds: 0, output: '' }
      owner.tests.set(event.test, entry)
    }
    entry.output = tail(entry.output + event.output)
    if (event.action !== 'pass' && event.action !== 'fail' && event.action !== 'skip') return null
    entry.outcome = event.action
    entry.seconds = event.seconds
    return { name: event.test, outcome: event.action }
  }

  /** What has been collected, one entry per package; a package in which nothing ran is left out unless it is broken. */
  results(): PackageResult[] {
    const results: PackageResult[] = []
    for (const [path, owner] of this.#packages) {
      const tests = [...owner.tests].map(([name, entry]): TestResult => {
        const outcome = entry.outcome ?? 'fail'
        return { name, outcome, seconds: entry.seconds, output: outcome === 'pass' ? '' : entry.output }
      })
      const unended = [...owner.tests].filter(([, entry]) => entry.outcome === null).map(([name]) => name)
      let brokenBy: string | null = null
      if (unended.length > 0) brokenBy = `never ended: ${unended.join(', ')}`
      else if (owner.failed && !tests.some(test => test.outcome === 'fail'))
        brokenBy = tail(this.#buildOutput + owner.output)
      if (tests.length === 0 && brokenBy === null) continue
      results.push({ name: lastPart(path), tests, brokenBy })
    }
    return results
  }
}

/** The reason given for a test: its own, or else that of the nearest test it is part of; null when there is none. */
export function reasonFor(name: string, reasons: Reasons): string | null {
  let covering = name
  for (;;) {
    if (Object.hasOwn(reasons, covering)) return reasons[covering] ?? null
    const end = covering.lastIndexOf('/')
    if (end < 0) return null
    covering = covering.slice(0, end)
  }
}

/** The failing tests that nobody has explained. A test that fails only because of its subtests is explained when all of
 *  its failing subtests are. */
export function unexplainedFailures(tests: readonly TestResult[], reasons: Reasons): string[] {
  const failing = tests.filter(test => test.outcome === 'fail').map(test => test.name)
  return failing.filter(name => {
    if (reasonFor(name, reasons) !== null) return false
    return !failing.some(other => other.startsWith(`${name}/`))
  })
}

/** The reasons of tests that ran and passed: they can be deleted. */
export function outdatedReasons(tests: readonly TestResult[], reasons: Reasons): string[] {
  return tests.filter(test => test.outcome === 'pass' && Object.hasOwn(reasons, test.name)).map(test => test.name)
}

/** How many of the given tests ended in each way; `topLevel` counts tests that are no part of another. */
export function countOutcomes(tests: readonly TestResult[]): {
  readonly topLevel: Readonly<Record<Outcome, number>>
  readonly all: Readonly<Record<Outcome, number>>
} {
  const topLevel = { pass: 0, fail: 0, skip: 0 }
  const all = { pass: 0, fail: 0, skip: 0 }
  for (const test of tests) {
    all[test.outcome] += 1
    if (!test.name.includes('/')) topLevel[test.outcome] += 1
  }
  return { topLevel, all }
}

/** A Markdown page with one row per test that is no part of another, and one per subtest that did not pass. */
export function markdownOf(result: PackageResult, reasons: Reasons): string {
  const counts = countOutcomes(result.tests)
  const lines = [
    `# ${result.name}`,
    '',
    `Tests: ${inWords(counts.topLevel)}. With subtests: ${inWords(counts.all)}.`,
    '',
    '| test | outcome | subtests | seconds | reason |',
    '|---|---|---|---|---|',
  ]
  for (const test of result.tests) {
    const isPart = test.name.includes('/')
    if (isPart && test.outcome === 'pass') continue
    const parts = result.tests.filter(other => other.name.startsWith(`${test.name}/`))
    const passed = parts.filter(part => part.outcome === 'pass').length
    const cells = [
      isPart ? `· ${test.name}` : test.name,
      test.outcome,
      parts.length === 0 ? '' : `${passed}/${parts.length}`,
      test.seconds.toFixed(2),
      test.outcome === 'pass' ? '' : (reasonFor(test.name, reasons) ?? ''),
    ]
    lines.push(`| ${cells.map(cell).join(' | ')} |`)
  }
  if (result.brokenBy !== null) lines.push('', 'The package failed as a whole:', '', '```', result.brokenBy, '```')
  return `${lines.join('\n')}\n`
}

/** `{pass: 1, fail: 2, skip: 3}` as "1 passed, 2 failed, 3 skipped". */
export function inWords(counts: Readonly<Record<Outcome, number>>): string {
  return `${counts.pass} passed, ${counts.fail} failed, ${counts.skip} skipped`
}

function cell(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('|', '\\|').replaceAll('\n', ' ')
}

function tail(text: string): string {
  return text.length > outputLimitCharacters ? text.slice(-outputLimitCharacters) : text
}

function lastPart(path: string): string {
  return (path.split('/').at(-1) ?? '').replace(/[^A-Za-z0-9_.-]/g, '_') || 'package'
}

interface TestEvent {
  readonly action: string
  readonly package: string
  readonly test: string | null
  readonly seconds: number
  readonly output: string
}

function eventOf(line: string): TestEvent | null {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null || !('Action' in value) || typeof value.Action !== 'string')
    return null
  return {
    action: value.Action,
    package: 'Package' in value && typeof value.Package === 'string' ? value.Package : '',
    test: 'Test' in value && typeof value.Test === 'string' ? value.Test : null,
    seconds: 'Elapsed' in value && typeof value.Elapsed === 'number' ? value.Elapsed : 0,
    output: 'Output' in value && typeof value.Output === 'string' ? value.Output : '',
  }
}
