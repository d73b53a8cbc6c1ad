/** One instruction: its name, the flags in front (`--from=build`), and the rest in one line. */
export interface Instruction {
  readonly name: string
  readonly flags: Readonly<Record<string, string>>
  readonly text: string
}

/** What one FROM begins. */
export interface Stage {
  readonly image: string
  readonly name: string | null
  readonly instructions: readonly Instruction[]
}

/** What a container is started with. */
export interface ImageSettings {
  readonly env: Readonly<Record<string, string>>
  readonly workdir: string
  readonly user: string
  readonly entrypoint: readonly string[]
  readonly command: readonly string[]
  readonly healthcheck: readonly string[] | null
  readonly ports: readonly string[]
}

/** The stages of a Dockerfile. Knows what ours uses, and throws at the rest: a check must not pass over what it does not know. */
export function parseDockerfile(text: string): readonly Stage[] {
  const lines = text
    .split('\n')
    .filter(line => !/^\s*#/.test(line))
    .join('\n')
    .replace(/\\\n\s*/g, '')
    .split('\n')
    .filter(line => line.trim() !== '')
  const stages: { image: string; name: string | null; instructions: Instruction[] }[] = []
  for (const line of lines) {
    const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
    if (name === 'FROM') {
      const [, image = '', as] = /^(\S+)(?:\s+AS\s+(\S+))?$/.exec(rest) ?? []
      if (image === '') throw new Error(`cannot read: ${line}`)
      stages.push({ image, name: as ?? null, instructions: [] })
      continue
    }
    const flags: Record<string, string> = {}
    let left = rest
    for (let flag; (flag = /^--([a-z-]+)=(\S+)\s+/.exec(left)); left = left.slice(flag[0].length)) {
      flags[flag[1] ?? ''] = flag[2] ?? ''
    }
    if (!known.has(name)) throw new Error(`cannot read: ${line}`)
    const stage = stages.at(-1)
    if (!stage) throw new Error('an instruction stands before the first FROM')
    stage.instructions.push({ name, flags, text: left })
  }
  return stages
}

const known = new Set(['WORKDIR', 'COPY', 'RUN', 'ENV', 'LABEL', 'EXPOSE', 'USER', 'STOPSIGNAL', 'HEALTHCHECK', 'ENTRYPOINT', 'CMD']) // prettier-ignore

/** The words of the exec form (`["node", "x"]`); null for the shell form. */
export function execForm(text: string): readonly string[] | null {
  if (!text.startsWith('[')) return null
  return JSON.parse(text) as string[] // A Dockerfile's exec form is a JSON list of texts.
}

/** `A=b C="d e"` as an object. */
export function pairs(text: string): Readonly<Record<string, string>> {
  const found = [...text.matchAll(/(\S+?)=(?:"([^"]*)"|(\S+))/g)]
  return Object.fromEntries(found.map(([, key = '', quoted, plain]) => [key, quoted ?? plain ?? '']))
}

/** What the last stage says that a container runs. */
export function imageSettings(stage: Stage): ImageSettings {
  const all = (name: string) => stage.instructions.filter(each => each.name === name).map(each => each.text)
  const words = (name: string) => {
    const text = all(name).at(-1)
    const found = text === undefined ? [] : execForm(text.replace(/^CMD\s+/, ''))
    if (found === null)
      throw new Error(`${name} is not in the exec form: a shell would stand between it and its signals`)
    return found
  }
  return {
    env: Object.assign({}, ...all('ENV').map(pairs)) as Record<string, string>, // Merged from objects of that kind.
    workdir: all('WORKDIR').at(-1) ?? '/',
    user: all('USER').at(-1) ?? '',
    entrypoint: words('ENTRYPOINT'),
    command: words('CMD'),
    healthcheck: all('HEALTHCHECK').length === 0 ? null : words('HEALTHCHECK'),
    ports: all('EXPOSE').flatMap(text => text.split(' ')),
  }
}

/** Whether .dockerignore lets a file into the build: the last rule that fits decides. */
export function isInContext(path: string, ignore: string): boolean {
  let isIn = true
  for (const line of ignore.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const rule = line.replace(/^!/, '')
    if (/[*?[]/.test(rule) && rule !== '*') throw new Error(`cannot read the rule ${line} of .dockerignore`)
    if (rule === '*' || path === rule || path.startsWith(`${rule}/`)) isIn = line.startsWith('!')
  }
  return isIn
}
