import { describe, expect, it } from '@jest/globals'
import {
  countOutcomes,
  markdownOf,
  outdatedReasons,
  type PackageResult,
  reasonFor,
  ResultCollector,
  unexplainedFailures,
} from './report.ts'

function collect(...events: object[]): PackageResult[] {
  const collector = new ResultCollector()
  for (const event of events) collector.add(JSON.stringify({ Package: 'example.org/suite/csapi', ...event }))
  return collector.results()
}

const run = (name: string): object => ({ Action: 'run', Test: name })
const print = (name: string, text: string): object => ({ Action: 'output', Test: name, Output: text })
const end = (name: string, action: string): object => ({ Action: action, Test: name, Elapsed: 0.5 })

describe('the report of a conformance run', () => {
  it('counts tests apart from their subtests', () => {
    const [result] = collect(run('A'), run('A/one'), end('A/one', 'pass'), end('A', 'pass'), run('B'), end('B', 'skip'))
    expect(result?.name).toBe('csapi')
    expect(countOutcomes(result?.tests ?? [])).toEqual({
      topLevel: { pass: 1, fail: 0, skip: 1 },
      all: { pass: 2, fail: 0, skip: 1 },
    })
  })

  it('counts a test that never ended as failed, and says that tests after it may be missing', () => {
    const [result] = collect(run('A'), print('A', 'panic: oh\n'), { Action: 'fail' })
    expect(result?.brokenBy).toBe('never ended: A')
    expect(result?.tests).toEqual([{ name: 'A', outcome: 'fail', seconds: 0, output: 'panic: oh\n' }])
  })

  it('says that a package is broken when it fails and none of its tests does', () => {
    const [result] = collect({ Action: 'output', Output: 'cannot build\n' }, { Action: 'fail' })
    expect(result?.brokenBy).toBe('cannot build\n')
    expect(collect(run('A'), end('A', 'fail'), { Action: 'fail' })[0]?.brokenBy).toBeNull()
    const why = { ImportPath: 'other', Action: 'build-output', Output: 'no such module\n' }
    expect(collect(why, { Action: 'output', Output: 'FAIL\n' }, { Action: 'fail' })[0]?.brokenBy).toBe(
      'no such module\nFAIL\n',
    )
  })

  it('ignores lines that are no events', () => {
    const collector = new ResultCollector()
    expect(collector.add('go: downloading')).toBeNull()
    expect(collector.add('{"Action": 5}')).toBeNull()
    expect(collector.results()).toEqual([])
  })

  it('lets a reason cover subtests, and nothing else that begins with the same letters', () => {
    const reasons = { A: 'later' }
    expect(reasonFor('A/one/two', reasons)).toBe('later')
    expect(reasonFor('AB', reasons)).toBeNull()
    expect(reasonFor('toString', reasons)).toBeNull()
  })

  it('explains a test by the reasons of all its failing subtests, and not by those of some', () => {
    const tests = collect(
      ...['A', 'A/one', 'A/two', 'A/three'].map(run),
      end('A/one', 'fail'),
      end('A/two', 'fail'),
      end('A/three', 'pass'),
      end('A', 'fail'),
    )[0]?.tests
    expect(unexplainedFailures(tests ?? [], { 'A/one': 'later', 'A/two': 'later' })).toEqual([])
    expect(unexplainedFailures(tests ?? [], { 'A/one': 'later' })).toEqual(['A/two'])
    expect(unexplainedFailures(tests ?? [], {})).toEqual(['A/one', 'A/two'])
  })

  it('asks for a reason when a test without subtests fails', () => {
    const tests = collect(run('A'), end('A', 'fail'))[0]?.tests ?? []
    expect(unexplainedFailures(tests, {})).toEqual(['A'])
    expect(unexplainedFailures(tests, { A: 'later' })).toEqual([])
  })

  it('names the reasons that a passing test no longer needs', () => {
    const tests = collect(run('A'), end('A', 'pass'), run('B'), end('B', 'fail'))[0]?.tests ?? []
    expect(outdatedReasons(tests, { A: 'later', B: 'later', C: 'later' })).toEqual(['A'])
  })

  it('writes a table that a name with a bar does not break', () => {
    const [result] = collect(run('A'), run('A/x|y'), end('A/x|y', 'fail'), end('A', 'fail'))
    if (result === undefined) throw new Error('nothing was collected')
    const rows = markdownOf(result, { A: 'built by a later part' }).split('\n')
    expect(rows).toContain('| A | fail | 0/1 | 0.50 | built by a later part |')
    expect(rows).toContain('| · A/x\\|y | fail |  | 0.50 | built by a later part |')
  })
})
