import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative, sep } from 'node:path'
import { promisify } from 'node:util'

const moduleDirectory = join(import.meta.dirname, 'complement')
const suite = 'github.com/matrix-org/complement'
const mainFile = 'main_test.go'
const timeLimit = '30m'

/** A command that runs the suite, to be started in `directory`. */
export interface Suite {
  readonly program: string
  readonly parameters: readonly string[]
  readonly directory: string
  readonly environment: Readonly<Record<string, string>>
  /** Deletes what was made for it. */
  remove(): Promise<void>
}

/** What was asked for cannot be run; the message is for whoever asked. */
export class SuiteError extends Error {}

/**
 * Makes Complement ready to run. `names` are its packages, by the last part of their paths (`csapi`, `msc4140`; `tests` for
 * those about other servers), and tests (`TestLogin`); without a package it is `csapi`, without a test all of them.
 *
 * Complement's packages bring a `TestMain` of their own each, which deploys to Docker, and the module cache is not to be
 * changed: so they are run in a copy, in which these call our deployment instead.
 */
export async function prepareComplement(names: readonly string[]): Promise<Suite> {
  const tests = names.filter(name => /^Test\w*$/.test(name))
  const chosen = names.filter(name => !tests.includes(name))
  const original = await downloaded()
  const mains = (await filesIn(join(original, 'tests'))).filter(file => basename(file) === mainFile)
  const packages = new Map(mains.map(file => [basename(dirname(file)), relative(original, dirname(file))]))
  const unknown = chosen.filter(name => !packages.has(name))
  if (unknown.length > 0) throw new SuiteError(`There is no package ${unknown.join(', ')}; there are ${[...packages.keys()].sort().join(', ')}.`) // prettier-ignore

  const place = await mkdtemp(join(tmpdir(), 'lethe-conformance-'))
  const remove = () => rm(place, { recursive: true, force: true })
  try {
    const copy = join(place, 'suite')
    for (const file of await filesIn(original)) {
      const path = join(copy, relative(original, file))
      const content = await readFile(file)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, mains.includes(file) ? mainOf(content.toString(), basename(dirname(file))) : content)
    }
    const modFile = join(place, 'go.mod')
    const ours = await readFile(join(moduleDirectory, 'go.mod'), 'utf8')
    await writeFile(modFile, `${ours}\nreplace ${suite} => ${JSON.stringify(copy)}\n`)
    await writeFile(join(place, 'go.sum'), await readFile(join(moduleDirectory, 'go.sum')))
    const wanted = chosen.length > 0 ? chosen : ['csapi']
    return {
      program: 'go',
      parameters: [
        'test', `-modfile=${modFile}`, '-json', '-count=1', '-p=1', `-timeout=${timeLimit}`,
        ...(tests.length > 0 ? [`-run=^(${tests.join('|')})$`] : []),
        ...wanted.map(name => [suite, ...(packages.get(name) ?? '').split(sep)].join('/')),
      ], // prettier-ignore
      directory: moduleDirectory,
      // The suite asks for both before it asks for homeservers.
      environment: { COMPLEMENT_BASE_IMAGE: 'none', COMPLEMENT_HOSTNAME_RUNNING_COMPLEMENT: '127.0.0.1' },
      remove,
    }
  } catch (error) {
    await remove()
    throw error
  }
}

/** Where the suite lies in Go's module cache. */
async function downloaded(): Promise<string> {
  const { stdout } = await promisify(execFile)('go', ['mod', 'download', '-json', suite], {
    cwd: moduleDirectory,
  }).catch((error: unknown) => {
    const reason = error instanceof Error && 'stdout' in error && error.stdout ? error.stdout : String(error)
    throw new SuiteError(`Complement is not to be had; it comes through Go (1.25 or newer): ${String(reason)}`)
  })
  const answer: unknown = JSON.parse(stdout)
  if (typeof answer !== 'object' || answer === null || !('Dir' in answer) || typeof answer.Dir !== 'string') {
    throw new SuiteError(`go mod download said: ${stdout}`)
  }
  return answer.Dir
}

async function filesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  return entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
}

function mainOf(original: string, namespace: string): string {
  const [, name] = /^package (\w+)$/m.exec(original) ?? []
  if (name === undefined) throw new SuiteError(`Complement's ${namespace}/${mainFile} names no package`)
  return `package ${name}

import (
	"testing"

	"lethe/conformance/deployment"
)

func TestMain(m *testing.M) { deployment.Main(m, ${JSON.stringify(namespace)}) }
`
}
