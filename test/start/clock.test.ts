import { describe, expect, it } from '@jest/globals'
import { systemClock } from '../../src/clock.ts'
import { isWellFormedToken, randomFrom, systemRandom } from '../../src/random.ts'
import { TEST_START_MS, TestClock } from '../harness/clock.ts'

describe('the test clock', () => {
  it('stands still until it is moved, then fires timers in the order of their times, each at its own', async () => {
    const clock = new TestClock()
    const fired: [string, number][] = []
    const note = (name: string) => () => void fired.push([name, clock.now() - TEST_START_MS])
    clock.setTimeout(note('late'), 300)
    clock.setTimeout(note('early'), 100)
    clock.setTimeout(note('also early'), 100)
    clock.setTimeout(note('never'), 1_000)
    clock.setTimeout(note('cleared'), 150).clear()
    expect(clock.now()).toBe(TEST_START_MS)
    await clock.advance(500)
    expect(fired).toEqual([
      ['early', 100],
      ['also early', 100],
      ['late', 300],
    ])
    expect(clock.now()).toBe(TEST_START_MS + 500)
    expect(clock.monotonic()).toBe(500)
    expect(clock.pending).toBe(1)
  })

  it('fires timers that timers and promises set', async () => {
    const clock = new TestClock()
    let rounds = 0
    const loop = async (): Promise<void> => {
      for (;;) {
        await clock.sleep(100)
        rounds += 1
      }
    }
    void loop()
    await clock.advance(1_050)
    expect(rounds).toBe(10)
  })

  it('ends a sleep when its signal aborts', async () => {
    const clock = new TestClock()
    const stop = new AbortController()
    const sleep = clock.sleep(100, stop.signal)
    stop.abort(new Error('enough'))
    await expect(sleep).rejects.toThrow('enough')
    expect(clock.pending).toBe(0)
    await expect(clock.sleep(100, stop.signal)).rejects.toThrow('enough')
  })
})

describe('the system clock', () => {
  it('does not fire a timer of many days at once', async () => {
    let hasFired = false
    const timer = systemClock.setTimeout(() => (hasFired = true), 2 ** 31 + 1_000)
    await systemClock.sleep(20)
    expect(hasFired).toBe(false)
    timer.clear()
  })
})

describe('random tokens', () => {
  it('carry their prefix and a checksum that typing errors break', () => {
    const token = systemRandom.token('let')
    expect(token).toMatch(/^let_[\w-]{43}_[\w-]{6}$/)
    expect(isWellFormedToken(token, 'let')).toBe(true)
    expect(isWellFormedToken(token, 'other')).toBe(false)
    const typo = token.slice(0, 10) + (token[10] === 'a' ? 'b' : 'a') + token.slice(11)
    expect(isWellFormedToken(typo, 'let')).toBe(false)
    expect(isWellFormedToken('', 'let')).toBe(false)
    expect(systemRandom.token()).toMatch(/^[\w-]{43}$/)
  })

  it('can be repeated from another source', () => {
    const fixed = randomFrom(
      length => new Uint8Array(length).fill(7),
      () => 1,
    )
    expect(fixed.token('x')).toBe(fixed.token('x'))
    expect(fixed.letters(4)).toBe('BBBB')
    expect(systemRandom.letters(10)).toMatch(/^[A-Z]{10}$/)
  })
})
