import { describe, expect, it } from '@jest/globals'
import { sourceFiles } from './sources.ts'

const files = sourceFiles()

/** Lines of code (not of comments or strings) that match, outside the places where that is allowed. */
function found(pattern: RegExp, places: readonly string[]): string[] {
  return files
    .filter(file => !places.some(place => file.path.startsWith(place)))
    .flatMap(file =>
      file.code
        .split('\n')
        .flatMap((line, index) => (pattern.test(line) ? [`${file.path}:${index + 1} ${line.trim()}`] : [])),
    )
}

describe('purity', () => {
  it('reads the time in the clock alone', () => {
    // `new Date(x)` with a time that was given is a conversion, and so is `Date.UTC`.
    expect(
      found(/\bDate\.now\b|\bnew Date\(\s*\)|\bnew Date\b(?!\()|\bperformance\.now\b|\bhrtime\b/, [
        'clock.ts',
        'log.ts',
      ]),
    ).toEqual([])
  })

  it('sets timers in the clock alone', () => {
    const timers = /(?<![.\w])(?:setTimeout|setInterval)\s*\(|\btimers\/promises\b|\bAbortSignal\.timeout\b/
    expect(found(timers, ['clock.ts'])).toEqual([])
  })

  it('makes random values in one place alone', () => {
    const sources =
      /\bMath\.random\b|\brandomBytes\s*\(|\brandomUUID\s*\(|\brandomInt\s*\(|\bgetRandomValues\b|\brandomFill/
    // The folder of a database is made before there is a context, and never leaves this machine.
    expect(found(sources, ['random.ts', 'storage/embedded-postgres'])).toEqual([])
  })

  it('reads the environment in the configuration alone', () => {
    expect(found(/\bprocess\.env\b/, ['config.ts', 'cli/'])).toEqual([])
  })

  it('ends the process from the command line alone', () => {
    expect(found(/\bprocess\.(?:exit|kill|abort)\b/, ['cli/', 'main.ts', 'storage/embedded-postgres'])).toEqual([])
  })

  it('writes to the console from the command line alone', () => {
    // A process of its own: what it makes is what it writes.
    const places = ['cli/', 'main.ts', 'media/thumbnail-process.ts']
    expect(found(/\bconsole\.\w+|\bprocess\.std(?:out|err)\b/, places)).toEqual([])
  })

  it('keeps SQL in storage', () => {
    const statements =
      /\b(?:SELECT\s[^'"`]{1,200}\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|CREATE\s+(?:TABLE|INDEX)\s)/
    const builders = /\.(?:selectFrom|insertInto|updateTable|deleteFrom|mergeInto)\s*\(|\bpool\.query\s*\(|\bsql`/
    const wrong = files
      .filter(file => !file.path.startsWith('storage/'))
      .filter(file => statements.test(file.text) || builders.test(file.text))
      .map(file => file.path)
    expect(wrong).toEqual([])
  })

  it('keeps promises, input and output out of the pure core', () => {
    const impure = /\basync\b|\bawait\b|\bPromise\b|\bprocess\b|\bfetch\s*\(|\bnew MatrixError\b/
    const wrong = files
      .filter(file => file.path.startsWith('protocol/'))
      .flatMap(file =>
        file.code
          .split('\n')
          .flatMap((line, index) => (impure.test(line) ? [`${file.path}:${index + 1} ${line.trim()}`] : [])),
      )
    expect(wrong).toEqual([])
  })

  it('leaves no check for later', () => {
    const wrong = files.filter(file => /\b(?:TODO|FIXME|XXX|HACK)\b/.test(file.text)).map(file => file.path)
    expect(wrong).toEqual([])
  })
})
