import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { parse, stringify } from 'yaml'
import { type Config, configJsonSchema, loadConfig, maskedConfig, type Problem } from '../../src/config.ts'
import { defaultLimits } from '../../src/limiter.ts'

let cwd: string
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'lethe-config-'))
})
afterEach(async () => {
  await rm(cwd, { recursive: true })
})

function load(env: Record<string, string> = {}, configFile: string | null = null): ReturnType<typeof loadConfig> {
  return loadConfig({ env, cwd, configFile })
}

function good(env: Record<string, string> = {}): Config {
  const loaded = load(env)
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  return loaded.config
}

function bad(env: Record<string, string> = {}): Readonly<Record<string, Problem>> {
  const loaded = load(env)
  if (loaded.ok) throw new Error('the settings were accepted')
  return Object.fromEntries(loaded.problems.map(problem => [problem.key, problem]))
}

async function file(text: string, name = 'lethe.yaml'): Promise<string> {
  await writeFile(join(cwd, name), text)
  return join(cwd, name)
}

describe('settings, when nothing is set', () => {
  it('make a server for this machine alone, closed to strangers', () => {
    expect(good()).toMatchObject({
      serverName: 'localhost',
      publicBaseUrl: null,
      dataDir: join(cwd, 'lethe-data'),
      database: { url: null },
      listen: { host: '127.0.0.1', port: 8008 },
      metrics: { enabled: true, host: '127.0.0.1', port: 9090 },
      trustedProxies: [],
      registration: { mode: 'closed', iKnowOpenIsUnsafe: false, sharedSecret: null },
      login: { token: { enabled: false }, jwt: null },
      federation: { enabled: false },
      presence: { enabled: false },
      media: { maxUploadBytes: 50 * 1024 * 1024, store: { path: join(cwd, 'lethe-data', 'media') } },
      retention: { default: { maxLifetime: null }, sweepInterval: 60_000, rooms: {} },
      turn: { uris: [], ttl: 3_600_000 },
    })
  })

  it('limit every class of requests as the limiter proposes', () => {
    expect(good().rateLimits).toEqual({ enabled: true, ...defaultLimits })
  })

  it('cannot be changed by the program', () => {
    const config = good({ LETHE_TRUSTED_PROXIES: '10.0.0.0/8' })
    const parts: object[] = [config, config.listen, config.trustedProxies, config.retention.limits.maxLifetime]
    expect(parts.every(part => Object.isFrozen(part))).toBe(true)
  })
})

describe('settings from several sources', () => {
  it('come from the file, over the defaults', async () => {
    await file('server_name: example.org\nlisten: { port: 0 }\nretention: { default: { max_lifetime: 30d } }\n')
    expect(good()).toMatchObject({
      serverName: 'example.org',
      listen: { host: '127.0.0.1', port: 0 },
      retention: { default: { maxLifetime: 30 * 86_400_000 } },
    })
  })

  it('come from the environment, over the file', async () => {
    await file('server_name: example.org\nlisten: { port: 1, host: 0.0.0.0 }\n')
    const config = good({ LETHE_LISTEN__PORT: '2', LETHE_SERVER_NAME: 'example.com' })
    expect(config).toMatchObject({ serverName: 'example.com', listen: { host: '0.0.0.0', port: 2 } })
  })

  it('come from a file that a variable names, over that variable', async () => {
    const secret = await file('s3cret \n', 'secret')
    await chmod(secret, 0o600)
    const env = { LETHE_REGISTRATION__SHARED_SECRET_FILE: secret, LETHE_REGISTRATION__SHARED_SECRET: 'other' }
    const loaded = load(env)
    expect(loaded).toMatchObject({ ok: true, warnings: [], config: { registration: { sharedSecret: 's3cret ' } } })
    await chmod(secret, 0o644)
    expect(load(env)).toMatchObject({
      ok: true,
      warnings: [{ key: 'LETHE_REGISTRATION__SHARED_SECRET_FILE', hint: `chmod 600 ${secret}` }],
    })
  })

  it('come from the file named on the command line, else in LETHE_CONFIG, else from ./lethe.yaml', async () => {
    await file('server_name: default.example\n')
    const byVariable = await file('server_name: variable.example\n', 'variable.yaml')
    const byOption = await file('server_name: option.example\n', 'option.yaml')
    expect(load()).toMatchObject({ config: { serverName: 'default.example' } })
    expect(load({ LETHE_CONFIG: byVariable })).toMatchObject({ config: { serverName: 'variable.example' } })
    expect(load({ LETHE_CONFIG: byVariable }, byOption)).toMatchObject({ config: { serverName: 'option.example' } })
    expect(load({ LETHE_CONFIG: 'absent.yaml' })).toMatchObject({
      ok: false,
      problems: [{ key: join(cwd, 'absent.yaml'), message: 'cannot be read' }],
    })
  })

  it('take lists, tables and texts that look like numbers from variables', () => {
    const config = good({
      LETHE_TRUSTED_PROXIES: '10.0.0.0/8, ::1',
      LETHE_TURN__URIS: '["turn:turn.example.org?transport=udp"]',
      LETHE_TURN__SHARED_SECRET: '12345',
      LETHE_RETENTION__ROOMS: '{"!room:example.org": {"max_lifetime": "1h"}}',
      LETHE_WELL_KNOWN__CLIENT_EXTRA: '{"org.example.snake_case": {"a_b": [1]}}',
      LETHE_MEDIA__MAX_UPLOAD_BYTES: '10MiB',
      LETHE_RETENTION__SWEEP_INTERVAL: '5000',
      LETHE_RATE_LIMITS__LOGIN_FAILURE__PER_SECOND: '0.5',
      LETHE_FEDERATION__ENABLED: 'true',
      LETHE_PUBLIC_BASE_URL: 'https://matrix.example.org/',
    })
    expect(config).toMatchObject({
      trustedProxies: ['10.0.0.0/8', '::1'],
      turn: { uris: ['turn:turn.example.org?transport=udp'], sharedSecret: '12345' },
      retention: { rooms: { '!room:example.org': { maxLifetime: 3_600_000, minLifetime: null } }, sweepInterval: 5000 },
      wellKnown: { clientExtra: { 'org.example.snake_case': { a_b: [1] } } },
      media: { maxUploadBytes: 10 * 1024 * 1024 },
      rateLimits: { loginFailure: { perSecond: 0.5, burst: 5 } },
      federation: { enabled: true },
      publicBaseUrl: 'https://matrix.example.org',
    })
  })

  it('ignore what Kubernetes adds for a Service called lethe, and empty variables', () => {
    const config = good({
      LETHE_SERVICE_HOST: '10.0.0.1',
      LETHE_SERVICE_PORT: '8008',
      LETHE_SERVICE_PORT_HTTP: '8008',
      LETHE_PORT: 'tcp://10.0.0.1:8008',
      LETHE_PORT_8008_TCP: 'tcp://10.0.0.1:8008',
      LETHE_PORT_8008_TCP_ADDR: '10.0.0.1',
      LETHE_METRICS_PORT: 'tcp://10.0.0.1:9090',
      LETHE_SERVER_NAME: '',
    })
    expect(config.serverName).toBe('localhost')
  })
})

describe('wrong settings', () => {
  it('are told all at once, each with its key and a hint', async () => {
    await file('listen: { port: 70000 }\nretention: { default: { max_lifetime: soon } }\nmetrics: 9090\n')
    const problems = bad({
      LETHE_SERVER_NAME: 'not a name',
      LETHE_LOG__LEVEL: 'loud',
      LETHE_METRICS__PORT: '1',
      LETHE_FEDERATION__ENABLED: 'yes',
      LETHE_TRUSTED_PROXIES: '10.0.0.0/8,nonsense',
      LETHE_RATE_LIMITS__MESSAGE__BURST: '0',
      LETHE_LOGIN__JWT__ISSUER: 'https://example.org',
      LETHE_TURN__URIS: 'turn:turn.example.org',
      LETHE_RETENTION__ROOMS: '{"lobby": {}}',
      LETHE_DATABASE__URL: 'mysql://localhost/lethe',
      LETHE_MEDIA__MAX_UPLOAD_BYTES: 'much',
      LETHE_PUBLIC_BASE_URL: 'ftp://example.org',
      LETHE_DATABASE__URL_FILE: '',
      LETHE_TURN__PASSWORD_FILE: '/nowhere',
    })
    expect(Object.fromEntries(Object.entries(problems).map(([key, { message }]) => [key, message]))).toEqual({
      'listen.port': 'must be at most 65535',
      'retention.default.max_lifetime':
        'must be a duration such as "30d", "1h", "90s" or milliseconds, at least 1000 ms',
      metrics: 'must be a section of keys and values',
      server_name: 'must be a host name, with a port if need be, such as example.org',
      'log.level': 'must be one of trace, debug, info, warn, error, fatal, silent',
      'federation.enabled': 'must be true or false',
      'trusted_proxies.1': 'must be an address or a network such as 10.0.0.0/8',
      'rate_limits.message.burst': 'must be at least 1',
      'login.jwt.secret': 'is missing',
      'turn.shared_secret': 'turn.uris needs turn.shared_secret, or turn.username and turn.password',
      'retention.rooms.lobby': 'has a key that must be a room ID',
      'database.url': 'must be a URL such as postgres://user:password@host:5432/lethe',
      'media.max_upload_bytes': 'must be a size such as "50M" or a number of bytes',
      public_base_url: 'must be a URL such as https://matrix.example.org',
      LETHE_TURN__PASSWORD_FILE: 'names a file that cannot be read',
    })
    expect(problems['log.level']?.hint).toBe('The least important messages that are written. Set by LETHE_LOG__LEVEL.')
    expect(problems['trusted_proxies.1']?.hint).toContain('Set by LETHE_TRUSTED_PROXIES.')
    expect(problems['metrics']?.hint).toBe('Its keys are enabled, host, port.')
    expect(Object.values(problems).filter(problem => problem.hint === '')).toEqual([])
  })

  it('are unknown keys, with the key that was meant', async () => {
    await file('serverName: example.org\nregistration: { mdoe: open }\nzzzzzzzzzzzz: 1\n')
    expect(bad({ LETHE_DATABSE__URL: 'x' })).toMatchObject({
      serverName: { message: 'is no setting of Lethe', hint: 'Did you mean server_name?' },
      'registration.mdoe': { hint: 'Did you mean mode?' },
      zzzzzzzzzzzz: { hint: expect.not.stringContaining('Did you mean') as unknown },
      LETHE_DATABSE__URL: { hint: 'Did you mean LETHE_DATABASE__URL?' },
    })
  })

  it('are open registration without the flag that says that one knows', () => {
    expect(bad({ LETHE_REGISTRATION__MODE: 'open' })).toMatchObject({
      'registration.mode': { message: expect.stringContaining('registration.i_know_open_is_unsafe') as unknown },
    })
    const env = { LETHE_REGISTRATION__MODE: 'open', LETHE_REGISTRATION__I_KNOW_OPEN_IS_UNSAFE: 'true' }
    expect(good(env).registration.mode).toBe('open')
    expect(good({ LETHE_REGISTRATION__MODE: 'token' }).registration.mode).toBe('token')
  })

  it('are told together with those between keys of the same section', async () => {
    await file('registration: { mode: open, shared_secret: 5 }\n')
    expect(Object.keys(bad()).sort()).toEqual(['registration.mode', 'registration.shared_secret'])
  })

  it('are lifetimes whose ends are the wrong way round, and zero', async () => {
    await file(
      'retention: { default: { min_lifetime: 2d, max_lifetime: 1d }, limits: { max_lifetime: { min: 0, max: 1d } } }',
    )
    expect(Object.keys(bad()).sort()).toEqual(['retention.default.max_lifetime', 'retention.limits.max_lifetime.min'])
  })

  it('are unsigned tokens', async () => {
    await file('login: { jwt: { secret: x, algorithms: [none] } }')
    expect(Object.keys(bad())).toEqual(['login.jwt.algorithms.0'])
  })

  it('are files that are no YAML, without quoting them', async () => {
    await file('server_name: [\nregistration: hunter2\n')
    const problems = Object.values(bad())
    expect(problems).toHaveLength(1)
    expect(problems[0]?.message).toMatch(/is not valid YAML: .*line \d/)
    expect(JSON.stringify(problems)).not.toContain('hunter2')
    await file('- a list\n')
    expect(Object.values(bad())[0]?.message).toBe('must hold keys and values')
  })

  it('are never quoted, for they may be secrets in the wrong place', () => {
    const loaded = load({ LETHE_LISTEN__PORT: 'hunter2', LETHE_LOG__LEVEL: 'hunter2', LETHE_SERVER_NAME: 'hunter 2' })
    expect(loaded.ok).toBe(false)
    expect(JSON.stringify(loaded)).not.toContain('hunter')
  })
})

describe('a database that is given in parts', () => {
  const parts = { LETHE_DATABASE__HOST: 'db.example.org', LETHE_DATABASE__PASSWORD: 'a:b@c/d%e?f #é' }

  it('becomes the URL that node-pg reads the same parts from', () => {
    const { url } = good({ ...parts, LETHE_DATABASE__USER: 'le@the', LETHE_DATABASE__NAME: 'le-the_2', LETHE_DATABASE__PORT: '6432' }).database // prettier-ignore
    const { host, port, user, password, database } = new pg.Client({ connectionString: url ?? '' })
    expect({ host, port, user, password, database }).toEqual({
      host: 'db.example.org',
      port: 6432,
      user: 'le@the',
      password: parts.LETHE_DATABASE__PASSWORD,
      database: 'le-the_2',
    })
  })

  it('may be at an IPv6 address or in the folder of a socket', () => {
    const hostOf = (host: string) => new pg.Client({ connectionString: good({ LETHE_DATABASE__HOST: host }).database.url ?? '' }).host // prettier-ignore
    expect(hostOf('/run/postgresql')).toBe('/run/postgresql')
    expect(hostOf('::1')).toBe('::1')
  })

  it('has the password in a file of its own', async () => {
    const path = await file('hunter2\n', 'password')
    await chmod(path, 0o600)
    const { url } = good({ LETHE_DATABASE__HOST: 'db', LETHE_DATABASE__PASSWORD_FILE: path }).database
    expect(url).toBe('postgres://lethe:hunter2@db:5432/lethe?sslmode=disable')
  })

  it('is refused beside a URL, and so are authorities that nobody asks', () => {
    const url = 'postgres://lethe@db/lethe'
    expect(bad({ ...parts, LETHE_DATABASE__URL: url })['database.host']?.message).toBe('and database.url cannot both be set') // prettier-ignore
    expect(bad({ ...parts, LETHE_DATABASE__CA_FILE: 'ca.pem' })['database.ca_file']?.message).toBe('needs database.tls: verified') // prettier-ignore
  })

  it('is shown as it was set, without the password', () => {
    const dump = maskedConfig(good(parts))
    expect(dump).toMatchObject({ database: { url: null, host: 'db.example.org', password: '***' } })
  })
})

describe('a dump of the settings', () => {
  const env = {
    LETHE_DATABASE__URL: 'postgres://lethe:hunter2@db:5432/lethe?password=hunter2',
    LETHE_REGISTRATION__SHARED_SECRET: 'hunter2',
    LETHE_LOGIN__JWT__SECRET: 'hunter2',
    LETHE_TURN__SHARED_SECRET: 'hunter2',
    LETHE_TURN__PASSWORD: 'hunter2',
    LETHE_RETENTION__ROOMS: '{"!a_b:example.org": {"max_lifetime": "1d"}}',
  }

  it('masks every secret', () => {
    const dump = maskedConfig(good(env))
    expect(JSON.stringify(dump)).not.toContain('hunter2')
    expect(dump).toMatchObject({
      database: { url: 'postgres://lethe:***@db:5432/lethe' },
      registration: { shared_secret: '***' },
      login: { jwt: { secret: '***', subject_claim: 'sub' } },
      turn: { shared_secret: '***', password: '***' },
    })
  })

  it('is a file that means the same, secrets apart', async () => {
    const config = good({ LETHE_RETENTION__ROOMS: env.LETHE_RETENTION__ROOMS, LETHE_LISTEN__PORT: '0' })
    await file(stringify(maskedConfig(config)))
    expect(good()).toEqual(config)
  })
})

describe('the JSON Schema of the settings', () => {
  const schema = configJsonSchema()
  const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schema)

  it('accepts what is accepted and refuses unknown keys', () => {
    expect(validate(parse('server_name: example.org\nlisten: { port: 0 }\nretention: { sweep_interval: 1h }'))).toBe(
      true,
    )
    expect(validate(parse('server_nmae: example.org'))).toBe(false)
    expect(validate(maskedConfig(good()))).toBe(true)
  })

  it('says what every key is for', () => {
    const silent: string[] = []
    const visit = (part: typeof schema, path: string): void => {
      const isLeaf = part.properties === undefined && part.anyOf?.every(variant => variant.properties === undefined) !== false // prettier-ignore
      if (isLeaf && (part.description ?? '') === '') silent.push(path)
      for (const [key, child] of Object.entries(part.properties ?? {})) visit(child, `${path}.${key}`)
    }
    visit(schema, '')
    expect(silent).toEqual([])
  })
})
