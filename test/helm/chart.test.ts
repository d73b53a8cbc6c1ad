import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { chart, readValues, valuesSchema, valuesTable } from './values-schema.ts'

/** `UPDATE_CHART=1 npm run jest -- test/helm` writes what is generated. */
const isUpdate = process.env['UPDATE_CHART'] === '1'
const read = (name: string) => readFile(join(chart, name), 'utf8')

const validate = new Ajv2020({ strict: false }).compile(await valuesSchema())

describe('the chart', () => {
  it('installs the version that it lies beside', async () => {
    const { version } = JSON.parse(await read('../../package.json')) as { version: string } // As npm has it.
    expect(parse(await read('Chart.yaml'))).toMatchObject({ version, appVersion: version })
  })
})

describe('the chart’s values', () => {
  it('have a schema that is made from the server’s settings and is current', async () => {
    const made = `${JSON.stringify(await valuesSchema(), null, 2)}\n`
    if (isUpdate) await writeFile(join(chart, 'values.schema.json'), made)
    expect(await read('values.schema.json')).toBe(made)
  })

  it('are all in the README', async () => {
    const mark = '<!-- values: made from values.yaml -->\n'
    const [before, ...rest] = (await read('README.md')).split(mark)
    expect(rest).toHaveLength(1)
    const made = `${before}${mark}${await valuesTable()}\n`
    if (isUpdate) await writeFile(join(chart, 'README.md'), made)
    expect(await read('README.md')).toBe(made)
  })

  it('say each what it is for, in fewer than 400 lines', async () => {
    expect((await readValues()).filter(value => value.comment === '').map(value => value.path)).toEqual([])
    expect((await read('values.yaml')).split('\n').length).toBeLessThan(400)
  })

  it('are accepted as every case has them', async () => {
    const cases = (await readdir(join(chart, 'ci'))).filter(file => file.endsWith('.yaml'))
    expect(cases.length).toBeGreaterThanOrEqual(12)
    for (const file of cases) {
      const isRight = validate(parse(await read(join('ci', file))))
      expect([file, isRight ? null : validate.errors]).toEqual([file, null])
    }
  })

  it.each([
    ['a key that is none', { replcas: 2 }, '#/additionalProperties'],
    ['a setting that is none', { config: { retention: { sweep: '1m' } } }, '#/properties/config/properties/retention/additionalProperties'],
    ['a secret among the settings', { config: { turn: { shared_secret: 'x' } } }, '#/properties/config/properties/turn/additionalProperties'],
    ['a setting that the chart decides', { config: { server_name: 'x' } }, '#/properties/config/additionalProperties'],
    ['a secret without its key', { secretSettings: { 'turn.shared_secret': { name: 'x' } } }, 'required'],
    ['the tag latest', { image: { tag: 'latest' } }, '#/properties/image/properties/tag/not'],
    ['to run as root', { podSecurityContext: { runAsUser: 0 } }, '#/properties/podSecurityContext/properties/runAsUser/minimum'],
    ['too little time to stop', { terminationGracePeriodSeconds: 20 }, '#/properties/terminationGracePeriodSeconds/minimum'],
  ])('refuse %s', (_what, values, place) => {
    expect(validate({ serverName: 'example.org' })).toBe(true)
    expect(validate({ serverName: 'example.org', ...values })).toBe(false)
    expect(validate.errors?.map(error => error.schemaPath).join(' ')).toContain(place)
  }) // prettier-ignore
})

describe('alerts and dashboard', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startTestServer({ settings: { metrics: { enabled: true, port: 0 } } })
  })
  afterAll(() => server.close())

  it('ask for metrics and labels that a server has', async () => {
    const alice = await register(server)
    await alice.send(await alice.createRoom(), 'hello')
    const exposed = await (await fetch(`${server.metricsUrl}/metrics`)).text()
    const known = new Set([...exposed.matchAll(/^([a-z_]\w*)(?:\{| )/gm)].map(([, name]) => name))
    const sources = (await Promise.all([read('templates/monitoring.yaml'), read('dashboards/lethe.json')])).join('\n')
    const asked = [...new Set(sources.match(/\b(?:lethe|nodejs|process)_[a-z0-9_]+(?=\{|, )/g))]
    expect(asked.length).toBeGreaterThan(12)
    expect(asked.filter(name => !known.has(name))).toEqual([])
    const endpoints = [...exposed.matchAll(/^lethe_http_request_duration_seconds_count\{endpoint="([^"]*)"/gm)].map(([, path]) => path) // prettier-ignore
    expect(endpoints.some(path => /.*\/send\/.*/.test(path ?? ''))).toBe(true)
  })
})
