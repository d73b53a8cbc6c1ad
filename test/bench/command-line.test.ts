import { describe, expect, it } from '@jest/globals'
import { UsageError } from '../../bench/errors.ts'
import { requireLoopback } from '../../bench/loopback.ts'
import { parseOptions, type Options } from '../../bench/options.ts'
import { chooseScenarios, requireOwnTargets } from '../../bench/runner.ts'
import { allScenarios } from '../../bench/scenarios/all.ts'

const resolver = (addresses: Record<string, string[]>) => async (hostname: string) => addresses[hostname] ?? []
const noNames = resolver({})

function options(...argv: string[]): Options {
  const parsed = parseOptions(['--url', 'http://127.0.0.1:8008', ...argv])
  if (typeof parsed === 'string') throw new Error('expected options')
  return parsed
}

describe('the target', () => {
  it.each(['127.0.0.1', '127.8.9.10', '::1', '[::1]', '::ffff:127.0.0.1'])('may be %s', async host => {
    await expect(requireLoopback(host, [], noNames)).resolves.toBeUndefined()
  })

  it.each(['10.0.0.1', '192.168.1.1', '0.0.0.0', '::', '[2001:db8::1]', '128.0.0.1', '', 'matrix.example.org'])(
    'may not be %s',
    async host => {
      await expect(requireLoopback(host, [], noNames)).rejects.toThrow(UsageError)
    },
  )

  it('may be a name if every address of it is this machine', async () => {
    const lookup = resolver({ localhost: ['127.0.0.1', '::1'], rebound: ['127.0.0.1', '192.0.2.1'] })
    await expect(requireLoopback('localhost', [], lookup)).resolves.toBeUndefined()
    await expect(requireLoopback('rebound', [], lookup)).rejects.toThrow(UsageError)
  })

  it('may be elsewhere only when it is allowed by its exact name', async () => {
    await expect(requireLoopback('test.example.org', ['test.example.org'], noNames)).resolves.toBeUndefined()
    await expect(requireLoopback('prod.test.example.org', ['test.example.org'], noNames)).rejects.toThrow(UsageError)
  })

  it.each([
    ['postgres://lethe@127.0.0.1/lethe', true],
    ['postgres:///lethe?host=/run/postgresql', true],
    ['postgres://%2Frun%2Fpostgresql/lethe', true],
    ['postgres://db.example.org/lethe', false],
    ['postgres://127.0.0.1/lethe?host=db.example.org', false],
    ['postgres://lethe@/lethe?host=/run/postgresql', true],
    ['postgres://lethe@/lethe?host=192.0.2.1', false],
    ['mysql://127.0.0.1/lethe', false],
  ])('is held to the same rule for the database: %s', async (databaseUrl, isAllowed) => {
    const checked = requireOwnTargets(options('--database-url', databaseUrl), noNames)
    if (isAllowed) await expect(checked).resolves.toBeUndefined()
    else await expect(checked).rejects.toThrow(UsageError)
  })
})

it('asks nobody else for metrics', async () => {
  await expect(requireOwnTargets(options('--metrics-url', 'http://127.0.0.1:9090/metrics'))).resolves.toBeUndefined()
  await expect(requireOwnTargets(options('--metrics-url', 'http://192.0.2.1/metrics'))).rejects.toThrow(UsageError)
})

describe('the command line', () => {
  it('reads all options', () => {
    const read = options(
      '--pid',
      '12,34',
      '--only',
      'join, keys',
      '--fanout',
      '200,10000',
      '--quick',
      '--messages',
      '50',
    )
    expect(read).toMatchObject({ origin: 'http://127.0.0.1:8008', pids: [12, 34], only: ['join', 'keys'], quick: true })
    expect(read.fanOut).toEqual([200, 10_000])
    expect(read.plan.storedMessages).toBe(50)
    expect(read.registration).toEqual({ kind: 'dummy' })
    expect(options('--registration-token', 'abc').registration).toEqual({ kind: 'token', token: 'abc' })
  })

  it.each([
    [[]],
    [['--url', 'ftp://127.0.0.1']],
    [['--url', 'http://127.0.0.1/path']],
    [['--url', 'http://user:secret@127.0.0.1']],
    [['--url', 'http://127.0.0.1', '--pid', 'self']],
    [['--url', 'http://127.0.0.1', '--metrics-url', 'metrics']],
    [['--url', 'http://127.0.0.1', '--pid', '0']],
    [['--url', 'http://127.0.0.1', '--fanout', '99999999']],
    [['--url', 'http://127.0.0.1', '--unknown']],
    [['--url', 'http://127.0.0.1', '--registration-token', 'a', '--shared-secret', 'b']],
  ])('refuses %j', argv => {
    expect(() => parseOptions(argv)).toThrow(UsageError)
  })

  it('chooses scenarios by name and refuses names that nobody has', () => {
    const scenarios = allScenarios({ fanOut: [200, 10_000] })
    expect(chooseScenarios(scenarios, ['fan-out-10000', 'send-1']).map(scenario => scenario.name)).toEqual([
      'send-1',
      'fan-out-10000',
    ])
    expect(chooseScenarios(scenarios, [])).toBe(scenarios)
    expect(() => chooseScenarios(scenarios, ['sned-1'])).toThrow(UsageError)
  })
})
