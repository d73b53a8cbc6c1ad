import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface, type Interface } from 'node:readline/promises'
import { stringify } from 'yaml'
import { type Config, loadConfig } from '../config.ts'
import { silentLogger } from '../log.ts'
import { parseServerName } from '../protocol/identifiers.ts'
import { openDatabase } from '../storage/database.ts'
import { databaseFacts, mayMakeTables, serverNameIn } from '../storage/doctor-facts.ts'
import { startEmbeddedPostgres } from '../storage/embedded-postgres.ts'
import { inspectDatabase, OLDEST_VERSION } from '../storage/inspect.ts'
import { type CommonOptions, exits, fail, failWith, type Outcome, show, UsageError } from './command.ts'
import { explain, problemLine } from './explain.ts'

export type InitOptions = CommonOptions & { readonly serverName?: string; readonly databaseUrl?: string }

/** What is not right with an answer, in words for the one who gave it. */
class Unfit extends Error {}

/** Whoever was asked has gone. */
class Unanswered extends Error {}

/** The file cannot be written: no other answer would help. */
class Unwritable extends Error {}

/** Asks for a server's name and its database, tries that, and writes both into a settings file, unless there is one. */
export async function init(options: InitOptions): Promise<number> {
  const file = resolve(options.config ?? 'lethe.yaml')
  if (await isThere(file)) return fail(`${file} is there already.`, exits.failed, options)
  const terminal = process.stdin.isTTY ? createInterface({ input: process.stdin, output: process.stderr }) : null
  try {
    return await answerAndWrite(file, options, terminal)
  } catch (error) {
    if (error instanceof Unanswered) return fail('Nothing was written.', exits.failed, options)
    if (error instanceof Unwritable) return fail(error.message, exits.failed, options)
    return failWith(error, options)
  } finally {
    terminal?.close()
  }
}

function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}

async function answerAndWrite(file: string, options: InitOptions, terminal: Interface | null): Promise<number> {
  const serverName = await answer(options.serverName, terminal, {
    hint: 'The server’s name is the part of user IDs behind the colon, such as example.org. It can never change.',
    question: 'Name: ',
    missing: 'say --server-name NAME: there is no terminal to ask at',
    fit: text => {
      if (parseServerName(text) === null) throw new Unfit(`"${text}" is not a server name`)
      return Promise.resolve(text)
    },
  })
  const fromEnvironment = ['LETHE_DATABASE__URL', 'LETHE_DATABASE__URL_FILE', 'LETHE_DATABASE__HOST', 'LETHE_DATABASE__HOST_FILE'].some(name => (process.env[name] ?? '') !== '') // prettier-ignore
  // Where nobody can be asked, the database that needs nothing.
  const given = options.databaseUrl ?? (fromEnvironment || terminal === null ? '' : undefined)
  const { database, written } = await answer(given, terminal, {
    hint: 'Its database is a PostgreSQL, such as postgres://user:password@host/lethe; empty for one that Lethe runs by itself.',
    question: 'Database: ',
    missing: '',
    fit: async url => ({ written: url, database: await write(file, serverName, url) }),
  })
  return show(outcome(file, options, serverName, database, written), options)
}

/** An answer that is fit: the one that was given, or what is typed, asked for until it is. */
async function answer<T>(
  given: string | undefined,
  terminal: Interface | null,
  how: {
    readonly hint: string
    readonly question: string
    readonly missing: string
    readonly fit: (text: string) => Promise<T>
  },
): Promise<T> {
  if (given !== undefined) {
    try {
      return await how.fit(given)
    } catch (error) {
      throw error instanceof Unfit ? new UsageError(error.message) : error
    }
  }
  if (terminal === null) throw new UsageError(how.missing)
  process.stderr.write(`${how.hint}\n`)
  for (;;) {
    const text = await typed(terminal, how.question)
    try {
      return await how.fit(text)
    } catch (error) {
      if (error instanceof Unwritable) throw error
      const reason = error instanceof Unfit ? error.message : explain(error, 'It cannot be used')
      process.stderr.write(`${reason}\n`)
    }
  }
}

/** Throws `Unanswered` where Ctrl-C or Ctrl-D is the answer. */
function typed(terminal: Interface, question: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(new Unanswered())
    terminal.once('close', leave)
    terminal.question(question).then(text => {
      terminal.off('close', leave)
      resolve(text.trim())
    }, leave)
  })
}

/** What was found of the database. */
interface Tried {
  /** Such as `17.2`. */
  readonly version: string
  readonly isOwn: boolean
  readonly warnings: readonly string[]
}

/** Writes the file and tries what it says. It does not stay where that cannot be used. Throws why. */
async function write(file: string, serverName: string, url: string): Promise<Tried> {
  const settings = { server_name: serverName, ...(url === '' ? {} : { database: { url } }) }
  try {
    await mkdir(dirname(file), { recursive: true })
    // Nobody but the operator: a password may stand in it, and others may come to.
    await writeFile(file, stringify(settings), { mode: 0o600, flag: 'wx' })
  } catch (error) {
    throw new Unwritable(explain(error, `${file} cannot be written`), { cause: error })
  }
  try {
    const loaded = loadConfig({ configFile: file })
    if (!loaded.ok) throw new Unfit(loaded.problems.map(problem => problemLine(problem).trim()).join('\n'))
    return loaded.config.database.url === null ? await tryEmbedded() : await tryDatabase(loaded.config)
  } catch (error) {
    await rm(file, { force: true })
    throw error
  }
}

/** Starts a Postgres of our own on this machine, in a folder that goes again. Throws `EmbeddedPostgresError`. */
async function tryEmbedded(): Promise<Tried> {
  const folder = await mkdtemp(join(tmpdir(), 'lethe-init-'))
  try {
    const postgres = await startEmbeddedPostgres({ dataDir: folder, log: silentLogger, fsync: false })
    const db = openDatabase(postgres.connection, silentLogger, { poolSize: 2 })
    try {
      return { version: (await databaseFacts(db.pool)).version, isOwn: true, warnings: [] }
    } finally {
      await db.close()
      await postgres.stop()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Throws `DatabaseError`, or `Unfit` for one that this server cannot live in. */
async function tryDatabase(config: Config): Promise<Tried> {
  const db = openDatabase({ url: config.database.url ?? '' }, silentLogger, { poolSize: 2 })
  try {
    const facts = await databaseFacts(db.pool)
    if (Number.parseInt(facts.version, 10) < OLDEST_VERSION / 10_000) {
      throw new Unfit(`It is PostgreSQL ${facts.version}: Lethe needs ${OLDEST_VERSION / 10_000} or newer`)
    }
    const owner = facts.hasSchema ? await serverNameIn(db.pool) : null
    if (owner !== null && owner !== config.serverName) throw new Unfit(`It belongs to the server "${owner}"`)
    if (!facts.hasSchema && !(await mayMakeTables(db.pool))) {
      throw new Unfit('The role may not make tables in it: let it own the database')
    }
    const warnings = await inspectDatabase(db.pool)
    return { version: facts.version, isOwn: false, warnings: warnings.map(({ message, hint }) => `${message} (${hint})`) } // prettier-ignore
  } finally {
    await db.close()
  }
}

function outcome(file: string, options: InitOptions, serverName: string, tried: Tried, url: string): Outcome {
  const database = tried.isOwn ? 'embedded' : 'external'
  const named = options.config === undefined ? '' : ` --config ${options.config}`
  const next = [`lethe serve${named}`, `lethe doctor${named}`]
  return {
    json: { file, server_name: serverName, database, postgres: tried.version, warnings: tried.warnings, next },
    lines: [
      `Wrote ${file}: the server ${serverName}, on ${tried.isOwn ? 'a PostgreSQL of its own' : `PostgreSQL ${tried.version}, which answers`}.`,
      ...(url === '' && !tried.isOwn ? ['Where that is stands in the environment, and has to stand there for every command.'] : []), // prettier-ignore
      ...tried.warnings.map(warning => `Warning: ${warning}`),
      '',
      'Next:',
      `  ${next[0] ?? ''}    prepares the database, and prints a link that makes the first account`,
      `  ${next[1] ?? ''}   says what is amiss, and how to mend it`,
      'For a server that others reach, docs/deployment.md goes on from here: its address, a proxy with TLS, the keys.',
    ],
  }
}
