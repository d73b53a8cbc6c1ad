import { openProbe } from '../admin/probes.ts'
import { type Config, loadConfig } from '../config.ts'
import { type Context } from '../context.ts'
import { silentLogger } from '../log.ts'
import { openContext, withDatabase } from '../server.ts'
import { countActiveAccounts } from '../storage/accounts.ts'
import { countRooms } from '../storage/admin-rooms.ts'
import { listUsers } from '../storage/admin-users.ts'
import { type Database } from '../storage/database.ts'
import { type CommonOptions, exits, type Outcome, show, withConfig } from './command.ts'
import { bad, checkNames, type Fault, type Finding, good, type Level } from './doctor/findings.ts'
import { lookAtDatabase, lookAtKeyring, lookAtMedia, lookAtSettings, lookAtSigningKey } from './doctor/local.ts'
import { lookFromOutside } from './doctor/network.ts'
import { explain } from './explain.ts'

export type DoctorOptions = CommonOptions & {
  readonly url?: string
  readonly offline?: boolean
  readonly strict?: boolean
}

/** What a doctor counts. */
interface Facts {
  readonly accounts: number
  readonly administrators: number
  readonly rooms: number
}

/** Looks at everything that a server depends on, and at the way to it, and says what is amiss and what to do about it. */
export async function doctor(options: DoctorOptions): Promise<number> {
  const loaded = loadConfig({ configFile: options.config ?? null })
  // Says what is wrong with them.
  if (!loaded.ok) return withConfig(options, () => ({ json: null, lines: [] }))
  return show(await examine(loaded.config, options), options)
}

async function examine(config: Config, options: DoctorOptions): Promise<Outcome> {
  const findings = [...lookAtSettings(config), await lookAtMedia(config)]
  let facts: Facts | null = null
  try {
    const isUsable = await withDatabase(config, silentLogger, db => lookInside(config, db, findings))
    if (isUsable) facts = await lookAround(config, options, findings)
  } catch (error) {
    findings.push(bad('database', 'databaseAway', explain(error).replace('Lethe could not start: ', '')))
  }
  return outcome(config, findings, facts, options.strict === true)
}

/** Faults with which no server starts. */
const stopping = new Set<Fault>([
  'keyringMissing', 'keyringBad', 'keyringOther', 'keyringOlder', 'signingKeyMissing', 'signingKeyBad',
]) // prettier-ignore

/** False if a server could not start on what was found. */
async function lookInside(config: Config, db: Database, findings: Finding[]): Promise<boolean> {
  const seen = await lookAtDatabase(config, db)
  findings.push(...seen.findings)
  if (!seen.isUsable) return false
  const [signingKey, keyring] = [await lookAtSigningKey(config, db), await lookAtKeyring(config, db)]
  findings.push(...signingKey, ...keyring)
  return ![...signingKey, ...keyring].some(({ fault }) => fault !== null && stopping.has(fault))
}

async function lookAround(config: Config, options: DoctorOptions, findings: Finding[]): Promise<Facts> {
  const { ctx, close } = await openContext({ config, logger: silentLogger })
  try {
    const facts = await count(ctx)
    findings.push(facts.administrators === 0 ? bad('people', 'noAdmin') : good('people', `${facts.administrators} of ${facts.accounts} accounts are administrators’.`)) // prettier-ignore
    const baseUrl = options.url ?? config.publicBaseUrl
    if (baseUrl === null || options.offline === true) return facts
    const wellKnownUrl = options.url ?? `https://${config.serverName}`
    const probe = await openProbe(ctx)
    try {
      findings.push(...(await lookFromOutside({ config, baseUrl, wellKnownUrl, secret: probe.secret })))
    } finally {
      await probe.close()
    }
    return facts
  } finally {
    await close()
  }
}

const anyAdmin = { exactId: null, userId: null, name: null, isGuest: null, isAdmin: true, isDeactivated: false, isLocked: null, isSuspended: null } // prettier-ignore

async function count(ctx: Context): Promise<Facts> {
  const [accounts, rooms, admins] = await Promise.all([
    countActiveAccounts(ctx.db.kysely),
    countRooms(ctx.db.kysely),
    listUsers(ctx.db.kysely, ctx.numbers.sealer, anyAdmin, { order: 'name', direction: 'f', from: 0, limit: 1 }),
  ])
  return { accounts, rooms, administrators: admins.total }
}

const marks: Readonly<Record<Level, string>> = { good: '✔', warning: '!', failure: '✘' }

function outcome(config: Config, found: readonly Finding[], facts: Facts | null, isStrict: boolean): Outcome {
  const findings = checkNames.flatMap(name => found.filter(({ check }) => check === name))
  const messagesOf = (wanted: Level) => findings.flatMap(({ level, message }) => (level === wanted ? [message] : []))
  const [failures, warnings] = [messagesOf('failure'), messagesOf('warning')]
  const width = Math.max(...findings.map(({ check }) => check.length))
  return {
    json: {
      server_name: config.serverName,
      ...facts,
      checks: findings.map(finding => ({ ...finding, ok: finding.level === 'good' })),
      failures,
      warnings,
    },
    lines: [
      ...findings.flatMap(({ check, level, message, fix }) => [
        `${marks[level]} ${check.padEnd(width)}  ${message}`,
        ...(fix === null ? [] : [`  ${' '.repeat(width)}  → ${fix}`]),
      ]),
      verdict(findings.length, failures.length, warnings.length),
    ],
    exit: failures.length > 0 || (isStrict && warnings.length > 0) ? exits.failed : exits.done,
  }
}

function verdict(all: number, failures: number, warnings: number): string {
  if (failures === 0 && warnings === 0) return 'All is well.'
  const parts = [
    ...(failures > 0 ? [`${failures} amiss`] : []),
    ...(warnings > 0 ? [`${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`] : []),
  ]
  return `Of ${all}: ${parts.join(', ')}.`
}
