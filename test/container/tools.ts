import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Programs that only these checks need: fetched when they are first wanted, in exact versions, and kept out of `npm ci`. */
const cache = fileURLToPath(new URL('../../node_modules/.cache/lethe-packaging/', import.meta.url))

/** The folder of an npm package of that content, unpacked. Throws when the archive has another SHA-256. */
export function npmPackage(name: string, version: string, sha256: string): string {
  return made(`${name.replace(/[@/]/g, '_')}-${version}`, folder => {
    const output = execFileSync('npm', ['pack', '--silent', `${name}@${version}`], { cwd: folder, encoding: 'utf8' })
    const archive = join(folder, output.trim())
    const found = createHash('sha256').update(readFileSync(archive)).digest('hex')
    if (found !== sha256) throw new Error(`${name}@${version} is not what it was: its SHA-256 is ${found}`)
    execFileSync('tar', ['xzf', archive], { cwd: folder })
    rmSync(archive)
  })
}

/** A folder in whose node_modules npm packages are, in exact versions, with what they need; none of them runs a script. */
export function npmInstalled(...packages: readonly string[]): string {
  return made(packages.join('_').replace(/[^\w.-]/g, '-'), folder => {
    writeFileSync(join(folder, 'package.json'), '{"private": true}')
    execFileSync('npm', ['install', '--silent', '--ignore-scripts', '--no-audit', '--no-fund', ...packages], {
      cwd: folder,
    })
  })
}

/** A folder of Python programs in exact versions: `bin` holds them. */
export function pythonPrograms(...packages: readonly string[]): string {
  return made(packages.join('_').replace(/[^\w.-]/g, '-'), folder => {
    execFileSync('python3', ['-m', 'venv', '--clear', folder])
    execFileSync(join(folder, 'bin/python'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages]) // prettier-ignore
  })
}

/** Makes a folder once. A virtual environment holds its own path, so it is made where it stays, and marked when it is whole. */
function made(name: string, make: (folder: string) => void): string {
  const folder = join(cache, name)
  const mark = join(folder, '.whole')
  if (existsSync(mark)) return folder
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  make(folder)
  const draft = mkdtempSync(join(cache, '.mark-'))
  renameSync(draft, mark)
  return folder
}
