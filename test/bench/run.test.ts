import { afterEach, describe, expect, it } from '@jest/globals'
import { parseOptions, type Options } from '../../bench/options.ts'
import { countFailed, formatJson, formatTable } from '../../bench/report.ts'
import { chooseScenarios, runScenarios, type Report } from '../../bench/runner.ts'
import { type Result } from '../../bench/scenario.ts'
import { allScenarios } from '../../bench/scenarios/all.ts'
import { FakeHomeserver, type FakeBehaviour } from './fake-homeserver.ts'

let fake: FakeHomeserver | null = null

afterEach(async () => {
  await fake?.stop()
  fake = null
})

const tinyPlan: Options['plan'] = {
  warmUpMs: 30,
  windowMs: 150,
  windows: 3,
  fanOutRounds: 2,
  visiblePairs: 4,
  visiblePerSecond: 200,
  syncRooms: 3,
  idlePolls: 10,
  storedMessages: 10,
  scenarioLimitMs: 20_000,
}

type Run = { options: Options; report: Report; result: (name: string) => Result }

function run(behaviour: FakeBehaviour, names: string[], ...argv: string[]): Promise<Run> {
  return runPlan(tinyPlan, behaviour, names, ...argv)
}

async function runPlan(
  plan: Options['plan'],
  behaviour: FakeBehaviour,
  names: string[],
  ...argv: string[]
): Promise<Run> {
  fake = await FakeHomeserver.start(behaviour)
  const parsed = parseOptions(['--url', fake.origin, '--fanout', '20', ...argv])
  if (typeof parsed === 'string') throw new Error('expected options')
  const options = { ...parsed, plan }
  const report = await runScenarios(options, chooseScenarios(allScenarios(options), names), () => undefined)
  const result = (name: string): Result => {
    const found = report.results.find(candidate => candidate.name === name)
    if (found === undefined) throw new Error(`no result ${name}`)
    return found
  }
  return { options, report, result }
}

describe('a run', () => {
  it('measures every scenario that a plain server allows', async () => {
    const names = allScenarios({ fanOut: [20] })
      .map(scenario => scenario.name)
      .filter(name => name !== 'idle-polls')
    const { options, report, result } = await run({}, names)
    const unmeasured = report.results.filter(each => each.outcome !== 'measured')
    expect(unmeasured.map(each => [each.name, ...each.notes])).toEqual([['database-bytes', 'needs --database-url']])
    expect(report.results.filter(each => each.errors > 0)).toEqual([])
    for (const name of ['register', 'send-1', 'send-64', 'first-sync', 'keys-claim', 'join']) {
      expect(result(name).figures.perSecond).toBeGreaterThan(0)
      expect(result(name).figures.p99Ms).toBeGreaterThanOrEqual(result(name).figures.p50Ms ?? Infinity)
    }
    // Three windows of 150 ms at 200 a second: none lost, none left out.
    expect(result('send-visible').operations).toBe(90)
    expect(result('fan-out-20').operations).toBe(6)
    expect(result('fan-out-20').figures.perSecond).toBeUndefined()
    expect(countFailed(report)).toBe(0)
    const table = formatTable(report, options)
    expect(table).toMatch(/^send-1 .*≥ 600 \/s, p50 ≤ 1\.7 ms +(pass|MISS)$/m)
    expect(table).toMatch(/^database-bytes .*skipped$/m)
  })

  it('counts what a slow server owes in the open loop', async () => {
    const { result } = await run({ sendDelayMs: 40 }, ['send-visible'])
    const { figures, operations, errors } = result('send-visible')
    // Four connections, one send each per 40 ms: 200 a second were offered, 100 a second can leave, so the queue grows.
    expect(operations).toBe(90)
    expect(errors).toBe(0)
    expect(figures.p50Ms).toBeGreaterThan(60)
    expect(figures.p99Ms).toBeGreaterThan(120)
  })

  it('waits out rate limits in setup, counts them in measurements, and says so', async () => {
    const { options, report, result } = await run({ limitOnceMs: 2 }, ['send-1'])
    expect(report.waitsForRateLimits).toBeGreaterThan(0)
    expect(result('send-1').rateLimited).toBeGreaterThan(0)
    const table = formatTable(report, options)
    expect(table).toContain('Rate limits are on')
    // Every send is new to this server, so every one was refused.
    expect(table).toMatch(/^send-1 .*failed$/m)
  })

  it('does not take refusals for speed', async () => {
    const { options, report, result } = await run({ refuseSends: 403 }, ['send-16'])
    expect(result('send-16')).toMatchObject({ operations: 0, outcome: 'failed', firstError: '403 M_FORBIDDEN' })
    expect(result('send-16').figures).toEqual({})
    expect(countFailed(report)).toBe(1)
    expect(formatTable(report, options)).toContain('first error: 403 M_FORBIDDEN')
  })

  it('goes on after a scenario that cannot be set up', async () => {
    const { report, result } = await run({ refuseSends: 403 }, ['first-sync', 'create-room'])
    expect(result('first-sync').outcome).toBe('failed')
    expect(result('first-sync').notes.join()).toContain('403 M_FORBIDDEN')
    expect(result('create-room').outcome).toBe('measured')
    expect(countFailed(report)).toBe(1)
  })

  it('gives up a scenario that takes too long, and leaves nothing of it running', async () => {
    const plan = { ...tinyPlan, scenarioLimitMs: 700, syncRooms: 2_000 }
    const { report, result } = await runPlan(plan, { sendDelayMs: 50 }, ['first-sync', 'create-room'])
    expect(result('first-sync')).toMatchObject({ outcome: 'failed', notes: ['not done after 0.7 s'] })
    expect(result('create-room').outcome).toBe('measured')
    expect(countFailed(report)).toBe(1)
    const requests = fake?.requests ?? []
    const lastSend = requests.findLastIndex(name => name.includes('/send/'))
    // The sends under way when the time was up are answered; after those, rooms are all that is made.
    expect(requests.slice(lastSend + 1).filter(name => name.endsWith('/createRoom')).length).toBeGreaterThan(100)
  })

  it('watches processes, and reports no secret in JSON', async () => {
    const { options, report, result } = await run({}, ['send-1'], '--pid', String(process.pid))
    expect(result('send-1').processes).toMatchObject([{ pid: process.pid }])
    expect(result('memory').figures.idleMebibytes).toBeGreaterThan(10)
    const json = formatJson(report, { ...options, databaseUrl: 'postgres://u:hunter2@127.0.0.1/x' }, '2026-01-01')
    expect(JSON.parse(json)).toMatchObject({ date: '2026-01-01', results: [{ name: 'send-1' }, { name: 'memory' }] })
    expect(json).not.toContain('hunter2')
    expect(json).not.toContain('token-')
  })

  it('refuses a process that does not run, and a server that does not answer', async () => {
    await expect(run({}, ['send-1'], '--pid', '4194304')).rejects.toThrow('--pid')
    const gone = await FakeHomeserver.start()
    const { origin } = gone
    await gone.stop()
    const parsed = parseOptions(['--url', origin])
    if (typeof parsed === 'string') throw new Error('expected options')
    await expect(runScenarios(parsed, [], () => undefined)).rejects.toThrow('no homeserver answers')
  })
})

describe('registration', () => {
  it('passes a token and further stages', async () => {
    const stages = ['m.login.registration_token', 'm.login.dummy']
    const behaviour = { stages, registrationToken: 'letmein' }
    const { result } = await run(behaviour, ['register'], '--registration-token', 'letmein')
    expect(result('register').operations).toBeGreaterThan(0)
    expect(result('register').errors).toBe(0)
  })

  it('goes by the shared secret where there is one', async () => {
    const { result } = await run(
      { sharedSecret: 'hush', stages: ['m.login.terms'] },
      ['register'],
      '--shared-secret',
      'hush',
    )
    expect(result('register').operations).toBeGreaterThan(0)
    expect(result('register').errors).toBe(0)
  })

  it('reports a wrong token as a refusal', async () => {
    const behaviour = { stages: ['m.login.registration_token'], registrationToken: 'letmein' }
    const { result } = await run(behaviour, ['register'], '--registration-token', 'guess')
    expect(result('register')).toMatchObject({ operations: 0, outcome: 'failed', firstError: '401 M_UNAUTHORIZED' })
  })

  it('says which stages a closed server wants', async () => {
    const { result } = await run({ stages: ['m.login.recaptcha'] }, ['create-room'])
    expect(result('create-room').outcome).toBe('failed')
    expect(result('create-room').notes.join()).toContain('m.login.recaptcha')
  })
})
