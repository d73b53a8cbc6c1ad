import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'

export const repositoryFolder = join(dirname(fileURLToPath(import.meta.url)), '../..')

/** A source file of the project; `path` is relative to `src/`, with forward slashes. */
export interface SourceFile {
  readonly path: string
  readonly text: string
  /** The text with comments, strings, templates' literal parts and regular expressions blanked out. */
  readonly code: string
}

/** Every TypeScript file under `src/`. */
export function sourceFiles(): readonly SourceFile[] {
  const folder = join(repositoryFolder, 'src')
  return (readdirSync(folder, { recursive: true }) as string[])
    .map(path => path.replaceAll('\\', '/'))
    .filter(path => path.endsWith('.ts'))
    .sort()
    .map(path => {
      const text = readFileSync(join(folder, path), 'utf8')
      return { path, text, code: withoutText(text) }
    })
}

export interface Import {
  /** Relative to `src/` for files of the project, else the package's name. */
  readonly target: string
  readonly isOwn: boolean
  /** Only types are taken. */
  readonly isTypeOnly: boolean
  /** What is imported, by its name in the other file. */
  readonly names: readonly string[]
}

const importStatement =
  /^(?:import|export)\s+(type\s+)?((?:[\w*\s,]|\{[^}]*\})*?)\s*(?:from\s*)?'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm

/** The imports and re-exports of a file. */
export function importsOf(file: SourceFile): readonly Import[] {
  const imports: Import[] = []
  for (const [, typeKeyword, clause = '', from, dynamic] of file.text.matchAll(importStatement)) {
    const target = from ?? dynamic ?? ''
    const isOwn = target.startsWith('.')
    const inBraces = /\{([^}]*)\}/.exec(clause)?.[1]
    const items = (inBraces ?? '').split(',').map(item => item.trim()).filter(item => item !== '') // prettier-ignore
    const hasOther = clause.replace(/\{[^}]*\}/, '').replace(/[\s,]/g, '') !== ''
    imports.push({
      target: isOwn ? posix.normalize(posix.join(posix.dirname(file.path), target)) : target,
      isOwn,
      isTypeOnly:
        typeKeyword !== undefined || (!hasOther && items.length > 0 && items.every(item => item.startsWith('type '))),
      names: items.map(item => item.replace(/^type /, '').replace(/ as .*$/, '')),
    })
  }
  return imports
}

/** Blanks out everything that is not code, keeping the length and the lines. */
export function withoutText(text: string): string {
  const pieces =
    /\/\/[^\n]*|\/\*[^]*?\*\/|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[^])*`|(?<=[=(,:[!&|?{};\n]\s*)\/(?![/*])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/g
  return text.replace(pieces, piece => {
    // What a template computes is code.
    if (!piece.startsWith('`')) return blank(piece)
    let result = ''
    let at = 0
    for (const hole of piece.matchAll(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g)) {
      result += blank(piece.slice(at, hole.index)) + hole[0]
      at = hole.index + hole[0].length
    }
    return result + blank(piece.slice(at))
  })
}

function blank(piece: string): string {
  return piece.replace(/[^\n]/g, ' ')
}
