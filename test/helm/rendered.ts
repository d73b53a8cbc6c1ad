/** A Kubernetes object as a template made it. */
export interface Rendered {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly labels?: Labels
    readonly annotations?: Labels
  }
  readonly spec?: Readonly<Record<string, unknown>>
  readonly data?: Readonly<Record<string, string>>
}

type Labels = Readonly<Record<string, string>>

/** A part of an object, looked into by name: what is not there is an empty part. */
export class Part {
  readonly value: unknown

  constructor(value: unknown) {
    this.value = value
  }

  at(...path: readonly string[]): Part {
    let place = this.value
    for (const key of path) place = typeof place === 'object' && place !== null ? (place as Record<string, unknown>)[key] : undefined // prettier-ignore
    return new Part(place)
  }

  list(...path: readonly string[]): readonly Part[] {
    const { value } = this.at(...path)
    return Array.isArray(value) ? value.map(each => new Part(each)) : []
  }

  text(...path: readonly string[]): string {
    const { value } = this.at(...path)
    return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
  }

  labels(...path: readonly string[]): Labels {
    return (this.at(...path).value ?? {}) as Labels // Labels, where Kubernetes has them.
  }
}

/** A pod, or what makes pods. */
export interface Pod {
  readonly owner: Rendered
  readonly labels: Labels
  readonly spec: Part
}

/** The pods that a list of objects comes to. */
export function podsOf(objects: readonly Rendered[]): readonly Pod[] {
  return objects.flatMap(owner => {
    const whole = new Part(owner)
    if (owner.kind === 'Pod') return [{ owner, labels: owner.metadata.labels ?? {}, spec: whole.at('spec') }]
    if (!['Deployment', 'StatefulSet', 'Job'].includes(owner.kind)) return []
    const template = whole.at('spec', 'template')
    return [{ owner, labels: template.labels('metadata', 'labels'), spec: template.at('spec') }]
  })
}

const named = ({ kind, metadata: { name } }: Rendered) => `${kind}/${name}`
const isPart = (selector: Labels, labels: Labels) => Object.entries(selector).every(([key, value]) => labels[key] === value) // prettier-ignore

/**
 * What is wrong between the objects of one release, each as a sentence. `outside` are the names that the case says are there
 * already: `Secret/my-database`.
 */
export function problemsOf(objects: readonly Rendered[], outside: ReadonlySet<string>): readonly string[] {
  return [
    ...twice(objects),
    ...podsOf(objects).flatMap(pod => [...references(pod, objects, outside), ...security(pod), ...images(pod)]),
    ...selectors(objects),
    ...routes(objects),
    ...hooks(objects),
  ]
}

function twice(objects: readonly Rendered[]): readonly string[] {
  const names = objects.map(named)
  return names.filter((name, index) => names.indexOf(name) !== index).map(name => `${name} is made twice`)
}

function eventsOf(object: Rendered): readonly string[] {
  return object.metadata.annotations?.['helm.sh/hook']?.split(',') ?? []
}

const weightOf = (object: Rendered) => Number(object.metadata.annotations?.['helm.sh/hook-weight'] ?? 0)

/** Secrets that the Job of the chart makes, with the weight of that Job and the events in which it does. */
function madeByJob(objects: readonly Rendered[]): ReadonlyMap<string, Rendered> {
  const jobs = podsOf(objects).filter(pod => pod.owner.metadata.name.endsWith('-create-secrets'))
  return new Map(
    jobs.flatMap(({ owner, spec }) => {
      const words = spec.list('containers').flatMap(container => container.list('args').map(each => each.text()))
      const names = words.filter((_word, index) => /^--(signing-key|password)$/.test(words[index - 1] ?? ''))
      return names.map(name => [`Secret/${name}`, owner] as const)
    }),
  )
}

function references({ owner, spec }: Pod, objects: readonly Rendered[], outside: ReadonlySet<string>): readonly string[] {
  const wanted = new Map<string, boolean>()
  const want = (kind: string, name: string, isOptional = false) => {
    if (name !== '') wanted.set(`${kind}/${name}`, isOptional)
  }
  const volumes = spec.list('volumes')
  for (const volume of volumes) {
    want('ConfigMap', volume.text('configMap', 'name'))
    want('Secret', volume.text('secret', 'secretName'))
    want('PersistentVolumeClaim', volume.text('persistentVolumeClaim', 'claimName'))
    for (const source of volume.list('projected', 'sources')) {
      want('Secret', source.text('secret', 'name'), source.at('secret', 'optional').value === true)
      want('ConfigMap', source.text('configMap', 'name'))
    }
  }
  want('ServiceAccount', spec.text('serviceAccountName'))
  for (const secret of spec.list('imagePullSecrets')) want('Secret', secret.text('name'))
  const made = madeByJob(objects)
  const events = eventsOf(owner)
  const problems = [...wanted].flatMap(([reference, isOptional]) => {
    // Every namespace has it.
    if (reference === 'ConfigMap/kube-root-ca.crt' || outside.has(reference)) return []
    const target = objects.find(object => named(object) === reference)
    const job = made.get(reference)
    if (!target && !job) return isOptional ? [] : [`${named(owner)} names ${reference}, which is not there`]
    if (!events.some(event => event.startsWith('pre-'))) return target && eventsOf(target).length > 0 ? [`${named(owner)} names ${reference}, which is a hook's`] : [] // prettier-ignore
    // A hook comes before everything that is none, and after hooks of less weight.
    const before = target ?? job
    if (!before) return []
    const inTime = events.every(event => eventsOf(before).includes(event) || job !== undefined) && weightOf(before) < weightOf(owner) // prettier-ignore
    return inTime ? [] : [`${named(owner)} names ${reference}, which is not there yet when it runs`]
  })
  const known = new Set([...volumes.map(volume => volume.text('name')), ...claimTemplates(owner)])
  for (const container of spec.list('containers')) {
    for (const mount of container.list('volumeMounts')) {
      if (!known.has(mount.text('name'))) problems.push(`${named(owner)} mounts ${mount.text('name')}, which is no volume`) // prettier-ignore
    }
    const ports = container.list('ports').map(port => port.text('name'))
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
      const port = container.text(probe, 'httpGet', 'port')
      if (port !== '' && !ports.includes(port)) problems.push(`${named(owner)} probes the port ${port}, which is none`)
    }
    const places = container.list('volumeMounts').map(mount => mount.text('mountPath'))
    for (const variable of container.list('env')) {
      const path = variable.text('value')
      if (/_FILE$|^LETHE_CONFIG$/.test(variable.text('name')) && !places.some(place => path.startsWith(`${place}/`))) {
        problems.push(`${named(owner)} reads ${path}, where nothing is mounted`)
      }
    }
    const names = container.list('env').map(variable => variable.text('name'))
    for (const name of names.filter((each, index) => names.indexOf(each) !== index)) problems.push(`${named(owner)} sets ${name} twice`) // prettier-ignore
  }
  return problems
}

function claimTemplates(owner: Rendered): readonly string[] {
  return new Part(owner).list('spec', 'volumeClaimTemplates').map(claim => claim.text('metadata', 'name'))
}

/** The restricted Pod Security Standard, and what Lethe adds to it. */
function security({ owner, spec }: Pod): readonly string[] {
  const wrong: string[] = []
  const must = (isTrue: boolean, what: string) => {
    if (!isTrue) wrong.push(`${named(owner)} ${what}`)
  }
  must(spec.at('automountServiceAccountToken').value === false, 'mounts a token of the cluster')
  must(spec.at('securityContext', 'runAsNonRoot').value === true, 'may run as root')
  must(Number(spec.text('securityContext', 'runAsUser')) > 0, 'has no user by number')
  must(spec.text('securityContext', 'seccompProfile', 'type') === 'RuntimeDefault', 'has no seccomp profile')
  for (const key of ['hostNetwork', 'hostPID', 'hostIPC']) must(spec.at(key).value === undefined, `has ${key}`)
  must(spec.list('volumes').every(volume => volume.at('hostPath').value === undefined), 'mounts the host')
  for (const container of [...spec.list('containers'), ...spec.list('initContainers')]) {
    const context = container.at('securityContext')
    must(context.at('allowPrivilegeEscalation').value === false, 'may gain rights')
    must(context.at('readOnlyRootFilesystem').value === true, 'may write to its root')
    must(JSON.stringify(context.at('capabilities').value) === '{"drop":["ALL"]}', 'keeps capabilities')
    must(context.at('privileged').value === undefined, 'is privileged')
    const isOurs = container.text('name') !== 'sidecar'
    must(!isOurs || container.text('resources', 'limits', 'memory') !== '', 'has no memory limit')
  }
  return wrong
}

function images({ owner, spec }: Pod): readonly string[] {
  return spec.list('containers').flatMap(container => {
    const image = container.text('image')
    return /(:[\w][\w.-]*|@sha256:[0-9a-f]{64})$/.test(image) && !image.endsWith(':latest') ? [] : [`${named(owner)} runs ${image}, which is not pinned`] // prettier-ignore
  })
}

function selectors(objects: readonly Rendered[]): readonly string[] {
  const pods = podsOf(objects)
  return objects.flatMap(object => {
    const whole = new Part(object)
    switch (object.kind) {
      case 'Deployment':
      case 'StatefulSet': {
        const pod = pods.find(each => each.owner === object)
        return pod && isPart(whole.labels('spec', 'selector', 'matchLabels'), pod.labels) ? [] : [`${named(object)} does not select its own pods`] // prettier-ignore
      }
      case 'Service': {
        const chosen = pods.filter(pod => isPart(whole.labels('spec', 'selector'), pod.labels))
        if (chosen.length !== 1) return [`${named(object)} selects ${chosen.length} kinds of pods`]
        const ports = chosen.flatMap(pod => portNames(pod))
        return whole.list('spec', 'ports').flatMap(port => (ports.includes(port.text('targetPort')) ? [] : [`${named(object)} leads to the port ${port.text('targetPort')}, which is none`])) // prettier-ignore
      }
      case 'PodDisruptionBudget':
        return pods.some(pod => isPart(whole.labels('spec', 'selector', 'matchLabels'), pod.labels)) ? [] : [`${named(object)} selects nothing`] // prettier-ignore
      case 'NetworkPolicy':
        return policy(object, pods)
      case 'HorizontalPodAutoscaler':
        return objects.some(each => named(each) === `Deployment/${whole.text('spec', 'scaleTargetRef', 'name')}` && new Part(each).at('spec', 'replicas').value === undefined) ? [] : [`${named(object)} and its Deployment both set the number`] // prettier-ignore
      case 'ServiceMonitor': {
        const services = objects.filter(each => each.kind === 'Service' && isPart(whole.labels('spec', 'selector', 'matchLabels'), each.metadata.labels ?? {})) // prettier-ignore
        const ports = services.flatMap(service => new Part(service).list('spec', 'ports').map(port => port.text('name')))
        return services.length === 1 && whole.list('spec', 'endpoints').every(endpoint => ports.includes(endpoint.text('port'))) ? [] : [`${named(object)} finds nothing to ask`] // prettier-ignore
      }
      default:
        return []
    }
  })
}

const portNames = ({ spec }: Pod) => spec.list('containers').flatMap(container => container.list('ports').map(port => port.text('name'))) // prettier-ignore

function policy(object: Rendered, pods: readonly Pod[]): readonly string[] {
  const whole = new Part(object)
  const chosen = pods.filter(pod => selects(whole.at('spec', 'podSelector'), pod.labels))
  if (chosen.length === 0) return [`${named(object)} selects nothing`]
  const ports = chosen.flatMap(portNames)
  const wrong = whole.list('spec', 'ingress').flatMap(rule => rule.list('ports')).map(port => port.text('port')).filter(port => !ports.includes(port)) // prettier-ignore
  const targets = whole.list('spec', 'egress').flatMap(rule => rule.list('to')).map(to => to.at('podSelector')).filter(to => to.at('matchLabels', 'app.kubernetes.io/component').value !== undefined) // prettier-ignore
  const lost = targets.filter(to => !pods.some(pod => selects(to, pod.labels)))
  return [
    ...wrong.map(port => `${named(object)} opens the port ${port}, which is none`),
    ...lost.map(() => `${named(object)} lets out to pods that are none`),
  ]
}

function selects(selector: Part, labels: Labels): boolean {
  const expressions = selector.list('matchExpressions')
  const fits = expressions.every(each => each.list('values').some(value => value.text() === labels[each.text('key')]))
  return isPart(selector.labels('matchLabels'), labels) && fits
}

/** Where requests are led. */
function routes(objects: readonly Rendered[]): readonly string[] {
  const services = new Map(objects.filter(each => each.kind === 'Service').map(each => [each.metadata.name, new Part(each)]))
  const isThere = (name: string, port: string) => services.get(name)?.list('spec', 'ports').some(each => [each.text('name'), each.text('port')].includes(port)) === true // prettier-ignore
  return objects.flatMap(object => {
    const whole = new Part(object)
    const ingress = whole.list('spec', 'rules').flatMap(rule => rule.list('http', 'paths')).map(path => path.at('backend', 'service')).map(to => [to.text('name'), to.text('port', 'name')] as const) // prettier-ignore
    const gateway = whole.list('spec', 'rules').flatMap(rule => rule.list('backendRefs')).map(to => [to.text('name'), to.text('port')] as const) // prettier-ignore
    const targets = object.kind === 'Ingress' ? ingress : object.kind === 'HTTPRoute' ? gateway : []
    return targets.flatMap(([name, port]) => {
      if (!isThere(name, port)) return [`${named(object)} leads to ${name}:${port}, which is not there`]
      return /-(admin|metrics|postgres)$/.test(name) ? [`${named(object)} opens ${name} to the world`] : []
    })
  })
}

/** Accounts before what uses them, checks before changes. */
function hooks(objects: readonly Rendered[]): readonly string[] {
  const order = ['ServiceAccount', 'Role', 'RoleBinding', 'create-secrets', 'ConfigMap', 'config-check', 'migrate']
  const rank = ({ kind, metadata: { name } }: Rendered) => (kind === 'Job' ? order.findIndex(each => name.endsWith(each)) : order.indexOf(kind)) // prettier-ignore
  const before = objects.filter(object => eventsOf(object).some(event => event.startsWith('pre-')))
  const problems = before.filter(object => rank(object) < 0).map(object => `${named(object)} is a hook without a place`)
  for (const first of before) {
    for (const second of before) {
      const isBoth = eventsOf(first).some(event => eventsOf(second).includes(event))
      // Helm runs hooks of one weight in the order of kinds: accounts, roles, bindings.
      const isLater = weightOf(first) > weightOf(second)
      if (isBoth && rank(first) < rank(second) && isLater && first.kind !== 'ConfigMap' && second.kind !== 'ConfigMap') {
        problems.push(`${named(first)} comes after ${named(second)}`)
      }
    }
  }
  const kept = before.filter(object => !(object.metadata.annotations?.['helm.sh/hook-delete-policy'] ?? '').includes('hook-succeeded')) // prettier-ignore
  return [...problems, ...kept.map(object => `${named(object)} stays when its hook has passed`)]
}

/** The rights that the objects give, as `verb resource`. */
export function rightsOf(objects: readonly Rendered[]): readonly string[] {
  return objects
    .filter(object => /Role$/.test(object.kind))
    .flatMap(object => new Part(object).list('rules'))
    .flatMap(rule => rule.list('verbs').flatMap(verb => rule.list('resources').map(what => `${verb.text()} ${what.text()}`))) // prettier-ignore
}
