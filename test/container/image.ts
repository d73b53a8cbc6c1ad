import { execFileSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { isInContext, pairs, type Stage } from './dockerfile.ts'

/**
 * Builds the stages of a Dockerfile without an engine: each is an overlay over this machine's own root, with the Node that runs
 * this in the place where the image has its own, and RUN runs in a chroot. That shows that the steps work and that the result
 * stands by itself; it does not show what is in the base image.
 */
export interface BuiltStage {
  /** The root that a container of it would see. */
  readonly root: string
  /** What the build changed. */
  readonly changes: string
}

/** Needs root, and a mount namespace of its own (`unshare --mount`). `work` is an empty folder. */
export function buildStages(stages: readonly Stage[], context: string, work: string): readonly BuiltStage[] {
  const built: { name: string | null; stage: BuiltStage }[] = []
  for (const [index, stage] of stages.entries()) {
    const folder = join(work, `stage-${index}`)
    const root = join(folder, 'root')
    const changes = join(folder, 'changes')
    for (const each of [root, changes, join(folder, 'work')]) mkdirSync(each, { recursive: true })
    mkdirSync(join(changes, 'usr/local/bin'), { recursive: true })
    copyFileSync(process.execPath, join(changes, 'usr/local/bin/node'))
    mount('-t', 'overlay', 'overlay', '-o', `lowerdir=/,upperdir=${changes},workdir=${join(folder, 'work')}`, root)
    // What Lethe itself left on this machine is not in the base image.
    rmSync(join(root, 'var/lib/lethe'), { recursive: true, force: true })
    for (const system of ['proc', 'dev']) mount('--rbind', `/${system}`, join(root, system))
    const env: Record<string, string> = {}
    let workdir = '/'
    const inside = (path: string) => join(root, resolve(workdir, path))
    for (const { name, flags, text } of stage.instructions) {
      if (name === 'ENV') Object.assign(env, pairs(text))
      if (name === 'WORKDIR') mkdirSync(inside((workdir = resolve(workdir, text))), { recursive: true })
      if (name === 'RUN') runIn(root, { workdir, env }, ['/bin/sh', '-c', text])
      if (name === 'COPY') {
        const from = flags['from']
        const source = from === undefined ? context : built.find(each => each.name === from)?.stage.root
        if (source === undefined) throw new Error(`there is no stage ${from}`)
        copy(source, text.split(' '), inside)
      }
    }
    built.push({ name: stage.name, stage: { root, changes } })
  }
  return built.map(({ stage }) => stage)
}

/** Copies as COPY does: a folder's content, or files into a folder whose name ends with a slash. */
function copy(source: string, words: readonly string[], inside: (path: string) => string): void {
  const target = words.at(-1) ?? '.'
  for (const word of words.slice(0, -1)) {
    const from = join(source, word)
    const isFolder = statSync(from).isDirectory()
    const to = isFolder || !/(^\.|\/)$/.test(target) ? inside(target) : join(inside(target), word)
    mkdirSync(dirname(to), { recursive: true })
    cpSync(from, to, { recursive: true, verbatimSymlinks: true })
  }
}

/** The files that a build is sent: those of the index that .dockerignore lets in. */
export function makeContext(project: string, folder: string): number {
  const ignore = readFileSync(join(project, '.dockerignore'), 'utf8')
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: project, encoding: 'utf8' }).split('\0') // prettier-ignore
  const sent = files.filter(path => path !== '' && isInContext(path, ignore) && existsSync(join(project, path)))
  for (const path of sent) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    copyFileSync(join(project, path), join(folder, path))
  }
  return sent.length
}

export function mount(...parameters: readonly string[]): void {
  execFileSync('mount', [...parameters])
}

interface Surroundings {
  readonly workdir: string
  readonly env: Readonly<Record<string, string>>
}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

function runIn(root: string, { workdir, env }: Surroundings, command: readonly string[]): void {
  // npm keeps what it has fetched in the home of who runs this: the build asks for it as a builder's cache would be.
  const home = process.env['HOME'] ?? '/root'
  execFileSync('chroot', [root, 'env', `--chdir=${workdir}`, ...command], {
    env: { PATH, HOME: home, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** The words that run a command in a container as `docker run --read-only --cap-drop ALL --security-opt no-new-privileges` would. */
export function confined(root: string, user: string, workdir: string, command: readonly string[]): readonly string[] {
  const [uid = '', gid = ''] = user.split(':')
  const drop = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs', '--bounding-set=-all', '--inh-caps=-all'] // prettier-ignore
  return ['chroot', root, 'setpriv', ...drop, '--', 'env', `--chdir=${workdir}`, ...command]
}
