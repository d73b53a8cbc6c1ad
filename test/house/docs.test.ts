import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { type Command } from 'commander'
import { parse } from 'yaml'
import { program } from '../../src/cli/program.ts'
import { childSchema, configJsonSchema, leafPaths } from '../../src/config/json-schema.ts'
import { settings } from '../../src/config/schema.ts'
import { isJsonObject } from '../../src/protocol/json.ts'
import { repositoryFolder } from './sources.ts'

/** A page that people read; `path` is relative to the repository. */
interface Page {
  readonly path: string
  readonly text: string
}

function pagesIn(folder: string): Page[] {
  return readdirSync(join(repositoryFolder, folder))
    .filter(name => name.endsWith('.md'))
    .map(name => {
      const path = join(folder, name)
      return { path, text: readFileSync(join(repositoryFolder, path), 'utf8') }
    })
}

const pages = [...pagesIn('.'), ...pagesIn('docs'), ...pagesIn('test/conformance')]

/** What stands in a page as code, in spans and in blocks; a block's lines that end in a backslash are joined. */
function codeOf({ text }: Page): string[] {
  const blocks = [...text.matchAll(/^```\w*\n(.*?)^```$/gms)].map(([, code = '']) => code.replaceAll('\\\n', ' '))
  const spans = [...text.replace(/^```.*?^```$/gms, '').matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code)
  return [...blocks.flatMap(block => block.split('\n')), ...spans]
}

/** As GitHub names the place of a heading. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-')
const anchorsIn = (text: string) => [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchorOf(heading))

/** The links of a page that lead nowhere within the repository. */
function deadLinks({ path, text }: Page): string[] {
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
  return links.filter(link => {
    if (/^(https?|mailto):/.test(link)) return false
    const [file = '', anchor] = link.split('#')
    const target = file === '' ? join(repositoryFolder, path) : join(repositoryFolder, dirname(path), file)
    if (!existsSync(target) || relative(repositoryFolder, target).startsWith('..')) return true
    return anchor !== undefined && !anchorsIn(readFileSync(target, 'utf8')).includes(anchor)
  })
}

const lethe = program(() => Promise.resolve())

/** The names of all commands below one, sorted. */
function commandsOf(command: Command, before: readonly string[] = []): string[] {
  return command.commands
    .flatMap(each => {
      const path = [...before, each.name()]
      return each.commands.length > 0 ? commandsOf(each, path) : [path.join(' ')]
    })
    .sort()
}

/** The commands that the table of a page names, sorted. */
function commandsInTable(text: string): string[] {
  const rows = /<!-- commands -->\n\n((?:\|.*\n)+)/.exec(text)?.[1]?.split('\n').slice(2) ?? []
  return rows.flatMap(row => [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)).sort()
}

/** What a line says that the command line does not know: a command, or one of its options. */
function unknownIn(line: string): string[] {
  const calls = line.matchAll(/(?:(?<![\w./:@=-])(?<!-u |exec )lethe(?: --)?|main\.js) (?=[a-z])([^|;&>#`…]+)/g)
  return [...calls].flatMap(([, parameters = '']) => {
    const words = parameters.trim().split(/\s+/)
    const unknown: string[] = []
    let command: Command = lethe
    for (const [index, word] of words.entries()) {
      const next: Command | undefined = command.commands.find(each => each.name() === word.replace(/,$/, ''))
      if (next && (index === 0 || command !== lethe)) command = next
      else if (index === 0 || (index === 1 && command.commands.length > 0 && /^[a-z]/.test(word))) unknown.push(word)
      const [option = ''] = /^\[?(--[\w-]+)/.exec(word)?.slice(1) ?? []
      const isKnown = ['', '--help', '--version'].includes(option) || command.options.some(each => each.long === option)
      if (!isKnown) unknown.push(option)
    }
    return unknown.map(word => `${word} in: ${line.trim()}`)
  })
}

const schema = configJsonSchema()
const environment = new Set(leafPaths(schema).map(path => `LETHE_${path.join('__').toUpperCase()}`))
const sections = Object.keys(schema.properties ?? {})

/** Everything that the program or its tests read of the environment and that is no setting. */
const otherVariables = new Set(
  ['src', 'test', 'bench'].flatMap(folder =>
    (readdirSync(join(repositoryFolder, folder), { recursive: true }) as string[])
      .filter(path => path.endsWith('.ts') && !path.endsWith('docs.test.ts'))
      .flatMap(path => readFileSync(join(repositoryFolder, folder, path), 'utf8').match(/['"]LETHE_\w+['"]/g) ?? [])
      .map(name => name.slice(1, -1)),
  ),
)

function unknownVariables({ text }: Page): string[] {
  return (text.match(/\bLETHE_[A-Z_]+/g) ?? [])
    .map(name => name.replace(/_+$/, ''))
    .filter(name => name !== 'LETHE' && !environment.has(name) && !otherVariables.has(name))
    .filter(name => !(name.endsWith('_FILE') && environment.has(name.replace(/_FILE$/, ''))))
}

const isSetting = (path: string) =>
  path.split('.').reduce<typeof schema | null>((at, key) => at && childSchema(at, key), schema) !== null

/** Where such names are the code's, or another program's. */
const ofOtherNames = ['ARCHITECTURE.md', 'docs/kubernetes.md']

/** Names with dots that begin as a setting's does, and are none. */
function unknownSettings(page: Page): string[] {
  if (ofOtherNames.includes(page.path)) return []
  const names = codeOf(page).flatMap(code => /^([a-z_]+(?:\.[a-z_]+)+)(?=$|[ :=])/.exec(code)?.[1] ?? [])
  return names.filter(name => sections.includes(name.split('.')[0] ?? '') && !/\.(ts|md|js)$/.test(name) && !isSetting(name)) // prettier-ignore
}

/** The blocks of a page that are settings, with what is wrong with them. */
function wrongSettings({ path, text }: Page): string[] {
  if (ofOtherNames.includes(path)) return []
  return [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].flatMap(([, block = '']) => {
    const read: unknown = parse(block)
    if (!isJsonObject(read) || !Object.keys(read).some(key => sections.includes(key))) return []
    const checked = settings.safeParse(read)
    return checked.success ? [] : checked.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
  })
}

const scripts = Object.keys(
  (JSON.parse(readFileSync(join(repositoryFolder, 'package.json'), 'utf8')) as { scripts: object }).scripts, // Ours.
)

function unknownScripts(page: Page): string[] {
  return codeOf(page).flatMap(code =>
    [...code.matchAll(/\bnpm run (?:-s |--silent )?([\w:-]+)/g)]
      .map(([, name = '']) => name)
      .filter(name => !scripts.includes(name)),
  )
}

/** Promises of the table that no test of the file that it names says. */
function unheldPromises({ text }: Page): string[] {
  const rows = text.matchAll(/^\| (\d+) \| [^|]+ \| ((?:`(?:promises|faults)\/[\w-]+`(?:, )?)+) \|$/gm)
  return [...rows].flatMap(([, number = '', files = '']) =>
    [...files.matchAll(/`([^`]+)`/g)].flatMap(([, name = '']) => {
      const file = join(repositoryFolder, 'test', `${name}.test.ts`)
      const says = new RegExp(`(?:describe|it)\\w*\\(\\s*['\`]promise ${number}\\b`)
      return existsSync(file) && says.test(readFileSync(file, 'utf8')) ? [] : [`${number}: ${name}`]
    }),
  )
}

const page = (text: string): Page => ({ path: 'docs/x.md', text })

describe('the documentation', () => {
  it.each(pages)('names what there is: $path', each => {
    expect({
      deadLinks: deadLinks(each),
      commands: codeOf(each).flatMap(unknownIn),
      variables: unknownVariables(each),
      settings: unknownSettings(each),
      wrongSettings: wrongSettings(each),
      scripts: unknownScripts(each),
      promises: unheldPromises(each),
    }).toEqual({
      deadLinks: [],
      commands: [],
      variables: [],
      settings: [],
      wrongSettings: [],
      scripts: [],
      promises: [],
    })
  })

  it('is found from its index, page by page', () => {
    const index = readFileSync(join(repositoryFolder, 'docs/README.md'), 'utf8')
    const listed = [...index.matchAll(/\]\(([\w-]+\.md)\)/g)].map(([, name = '']) => name)
    const there = readdirSync(join(repositoryFolder, 'docs')).filter(name => name.endsWith('.md'))
    expect(there.filter(name => name !== 'README.md' && !listed.includes(name))).toEqual([])
  })

  it('shows every picture that there is', () => {
    const shown = pages.flatMap(({ text }) => [...text.matchAll(/images\/([\w-]+\.png)\)/g)].map(([, name]) => name))
    expect(readdirSync(join(repositoryFolder, 'docs/images')).filter(name => !shown.includes(name))).toEqual([])
  })

  it('has every command in the table of commands, and no other', () => {
    expect(commandsInTable(readFileSync(join(repositoryFolder, 'docs/admin.md'), 'utf8'))).toEqual(commandsOf(lethe))
  })

  it('holds what is promised twice in the same words', () => {
    const tableIn = (path: string) => pages.find(each => each.path === path)?.text.match(/^\| \d+ \| .*$/gm) ?? []
    expect(tableIn('README.md').length).toBeGreaterThan(20)
    expect(tableIn('docs/privacy.md')).toEqual(tableIn('README.md'))
  })

  it('would be caught where it is wrong', () => {
    expect(deadLinks(page('[a](no.md) [b](privacy.md#no-such-heading) [c](privacy.md#in-short)'))).toEqual(['no.md', 'privacy.md#no-such-heading']) // prettier-ignore
    expect(commandsInTable('<!-- commands -->\n\n| a | |\n|---|---|\n| `b c`, `a` | `d` |\n')).toEqual(['a', 'b c'])
    const lines = ['lethe user create NAME --admin', 'npm run -s lethe -- user make NAME', 'lethe keys backup FILE --force', 'lethe destroy', 'compose exec lethe lethe doctor', 'node dist/main.js config show --json'] // prettier-ignore
    expect(lines.flatMap(unknownIn).map(each => each.split(' ')[0])).toEqual(['make', '--force', 'destroy'])
    expect(unknownVariables(page('LETHE_DATA_DIR LETHE_DATABASE__URL_FILE LETHE_DATA__DIR LETHE_CONFIG'))).toEqual(['LETHE_DATA__DIR']) // prettier-ignore
    expect(unknownSettings(page('`database.url` `database.uri` `server.ts` `retention.rooms`'))).toEqual(['database.uri']) // prettier-ignore
    expect(wrongSettings(page('```yaml\nregistration:\n  mode: shut\n```\n'))).toHaveLength(1)
    expect(unknownScripts(page('`npm run first-run` `npm run last-run`'))).toEqual(['last-run'])
    const rows = '| 1 | x | `promises/messages` |\n| 99 | x | `promises/messages` |\n| 1 | x | `promises/none` |\n'
    expect(unheldPromises(page(rows))).toEqual(['99: promises/messages', '1: promises/none'])
  })
})
