import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { budgets, judge } from '../../bench/budgets.ts'
import { openLoop, closedLoop, inParallel, type Pacing } from '../../bench/load.ts'
import { parseStat, parseStatusBytes, sampleProcesses } from '../../bench/process-tree.ts'
import { stallIn } from '../../bench/stalls.ts'
import { median, percentile } from '../../bench/statistics.ts'

it('reads how long the event loop stood still from what Node tells, and nothing from what it does not', () => {
  const metrics = 'nodejs_eventloop_lag_min_seconds 0.009\nnodejs_eventloop_lag_max_seconds 0.0345\n'
  expect(stallIn(metrics)).toBe(0.0345)
  expect(stallIn('nodejs_eventloop_lag_max_seconds NaN\n')).toBeNull()
  expect(stallIn('process_cpu_seconds_total 1\n')).toBeNull()
})

describe('percentiles', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1)

  it('are the smallest sample that covers the given share', () => {
    expect(percentile(hundred, 50)).toBe(50)
    expect(percentile(hundred, 99)).toBe(99)
    expect(percentile(hundred, 100)).toBe(100)
    expect(percentile([1, 2, 3, 4], 99)).toBe(4)
    expect(percentile([7], 50)).toBe(7)
  })

  it('are unknown without samples, and refuse shares outside 0 to 100', () => {
    expect(percentile([], 50)).toBeNull()
    expect(() => percentile([1], 0)).toThrow(RangeError)
    expect(() => percentile([1], 101)).toThrow(RangeError)
  })

  it('always name a sample that at least the share of all samples does not exceed', () => {
    const samples = fc.array(fc.integer({ min: 0, max: 1_000 }), { minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(samples, fc.integer({ min: 1, max: 100 }), (values, percent) => {
        const sorted = values.toSorted((left, right) => left - right)
        const found = percentile(sorted, percent) ?? -1
        expect(sorted).toContain(found)
        expect(sorted.filter(value => value <= found).length * 100).toBeGreaterThanOrEqual(percent * sorted.length)
        expect(sorted.filter(value => value < found).length * 100).toBeLessThan(percent * sorted.length)
      }),
    )
  })
})

describe('the median of windows', () => {
  it('is the middle one, whatever their order, and the mean of two', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([4, 1])).toBe(2.5)
    expect(median([])).toBeNull()
  })
})

/** A clock that moves only when somebody sleeps, or when the test says so. */
function virtualPacing(): Pacing & { stall: (durationMs: number) => void } {
  let nowMs = 1_000
  return {
    nowMs: () => nowMs,
    sleep: async durationMs => {
      nowMs += durationMs
    },
    stall: durationMs => {
      nowMs += durationMs
    },
  }
}

describe('the open loop', () => {
  it('starts every operation at its appointed time', async () => {
    const pacing = virtualPacing()
    const started: number[] = []
    const load = { perSecond: 500, count: 500, fire: (_: number, countsFromMs: number) => started.push(countsFromMs) }
    const { worstLatenessMs } = await openLoop(load, pacing)
    expect(started).toEqual(Array.from({ length: 500 }, (_, index) => 1_000 + index * 2))
    expect(worstLatenessMs).toBe(0)
  })

  it('leaves out nothing that was due during a stall, and counts its wait', async () => {
    const pacing = virtualPacing()
    const waits: number[] = []
    const { worstLatenessMs } = await openLoop(
      {
        perSecond: 500,
        count: 200,
        fire: (index, countsFromMs) => {
          waits.push(pacing.nowMs() - countsFromMs)
          if (index === 99) pacing.stall(100)
        },
      },
      pacing,
    )
    expect(waits).toHaveLength(200)
    expect(waits.slice(0, 100).every(wait => wait === 0)).toBe(true)
    // 50 operations were due in the 100 ms of the stall, the first after 2 ms, the last at its end.
    expect(waits.slice(100, 150)).toEqual(Array.from({ length: 50 }, (_, index) => 98 - index * 2))
    expect(waits.slice(150).every(wait => wait === 0)).toBe(true)
    expect(worstLatenessMs).toBe(98)
  })

  it('never counts from later than the appointed time, nor from the future', async () => {
    const pacing = virtualPacing()
    await openLoop(
      {
        perSecond: 700,
        count: 700,
        fire: (index, countsFromMs) => {
          expect(countsFromMs).toBeLessThanOrEqual(1_000 + (index * 1_000) / 700)
          expect(countsFromMs).toBeLessThanOrEqual(pacing.nowMs())
        },
      },
      pacing,
    )
    expect.assertions(1_400)
  })
})

describe('the closed loop', () => {
  const ok = () => Promise.resolve({ status: 200, text: '', endedMs: performance.now() })

  it('ends when nothing is left to do', async () => {
    let left = 10
    const sample = await closedLoop({
      workers: 3,
      durationMs: 5_000,
      operation: () => {
        left -= 1
        return left < 0 ? null : ok()
      },
    })
    expect(sample.latenciesMs).toHaveLength(10)
    expect(sample.errors).toBe(0)
    expect(sample.elapsedMs).toBeLessThan(5_000)
  })

  it('counts refusals and lost connections as errors, without their times', async () => {
    const outcomes = [
      ok,
      () => Promise.resolve({ status: 403, text: '{"errcode":"M_FORBIDDEN"}', endedMs: 0 }),
      () => Promise.resolve({ status: 429, text: '{"retry_after_ms":1}', endedMs: 0 }),
      () => Promise.reject(new Error('reset')),
    ]
    const sample = await closedLoop({ workers: 1, durationMs: 5_000, operation: () => outcomes.shift()?.() ?? null })
    expect(sample).toMatchObject({ errors: 3, rateLimited: 1, firstError: '403 M_FORBIDDEN' })
    expect(sample.latenciesMs).toHaveLength(1)
  })
})

describe('work in parallel', () => {
  it('keeps the order of the items and the width', async () => {
    let running = 0
    let widest = 0
    const results = await inParallel([5, 1, 3, 2], 2, async item => {
      running += 1
      widest = Math.max(widest, running)
      for (let turn = 0; turn < item; turn += 1) await Promise.resolve()
      running -= 1
      return item * 10
    })
    expect(results).toEqual([50, 10, 30, 20])
    expect(widest).toBe(2)
  })

  it('begins nothing new after a failure', async () => {
    const begun: number[] = []
    const work = inParallel([1, 2, 3, 4], 1, async item => {
      begun.push(item)
      if (item === 2) throw new Error('refused')
    })
    await expect(work).rejects.toThrow('refused')
    expect(begun).toEqual([1, 2])
  })
})

describe('budgets', () => {
  it('are met on the boundary and missed beyond it', () => {
    const list = [
      { result: 'a', figure: 'perSecond', bound: 'at least', value: 600 },
      { result: 'a', figure: 'p50Ms', bound: 'at most', value: 1.7 },
    ] as const
    expect(judge('a', { perSecond: 600, p50Ms: 1.7 }, list).map(verdict => verdict.isMet)).toEqual([true, true])
    expect(judge('a', { perSecond: 599, p50Ms: 1.8 }, list).map(verdict => verdict.isMet)).toEqual([false, false])
    expect(judge('b', { perSecond: 1 }, list)).toEqual([])
  })

  it('are not met by what was not measured', () => {
    expect(budgets.length).toBeGreaterThan(15)
    expect(judge('send-1', {}).map(verdict => verdict.isMet)).toEqual([false, false])
  })
})

describe('the process table', () => {
  it('is read past a program name with spaces and parentheses', () => {
    const line = '42 (a (b) c) S 7 42 42 0 -1 4194304 1 2 3 4 100 50 20 10 20 0 11 0 99 0 0'
    expect(parseStat(line)).toEqual({ parentPid: 7, ticks: 180 })
    expect(parseStat('')).toBeNull()
  })

  it('gives memory in bytes', () => {
    expect(parseStatusBytes('Name:\tx\nVmRSS:\t    1234 kB\nRssAnon:\t 10 kB\n', 'VmRSS')).toBe(1_234 * 1_024)
    expect(parseStatusBytes('', 'VmRSS')).toBe(0)
  })

  const onLinux = process.platform === 'linux' ? it : it.skip

  onLinux('counts a process under its nearest ancestor in the list', () => {
    const [self, ...others] = sampleProcesses([process.pid])
    expect(others).toEqual([])
    expect(self?.residentBytes).toBeGreaterThan(10_000_000)
    expect(self?.cpuSeconds).toBeGreaterThan(0)
    const [parent, child] = sampleProcesses([process.ppid, process.pid])
    expect(parent?.pid).toBe(process.ppid)
    expect(child?.pid).toBe(process.pid)
    expect(sampleProcesses([4_194_304])).toEqual([])
  })
})
