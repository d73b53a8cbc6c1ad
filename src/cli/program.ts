import { Command, CommanderError } from 'commander'
import { version } from '../version.ts'
import { type CommonOptions, exits, withConfig, withContext, withSettings } from './command.ts'
import { backUp } from './backup.ts'
import { doctor, type DoctorOptions } from './doctor.ts'
import { init, type InitOptions } from './init.ts'
import { createInvite, listInvites, revokeInvite } from './invites.ts'
import { backUpKeys, type KeysOptions, keysStatus, newSigningKey, restoreKeys, withKeys } from './keys.ts'
import { createKubernetesSecrets, type KubernetesOptions, SERVICE_ACCOUNT } from './kubernetes.ts'
import { migrateCommand } from './migrate.ts'
import { rotateServerKeys } from './rotate-keys.ts'
import {
  clearRetention,
  listAllRooms,
  listRetention,
  purgeRoom,
  retentionOfRoom,
  setRetention,
  showRoom,
} from './rooms.ts'
import { type RestoreOptions, restoreWhole } from './restore.ts'
import { serve } from './serve.ts'
import { checkConfig, shownConfig, shownSchema } from './settings.ts'
import { tryOut } from './try.ts'
import { createUser, erase, listAllUsers, lock, promote, setPassword } from './users.ts'

/** Runs one command. Resolves with the exit status; see `exits`. */
export async function run(parameters: readonly string[]): Promise<number> {
  let status: number = exits.done
  const set = (work: Promise<number>) => work.then(done => void (status = done))
  try {
    await program(set).parseAsync([...parameters], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    // Asking for help, or for the version, is no mistake.
    return error.exitCode === 0 ? exits.done : exits.usage
  }
  return status
}

const passphraseHelp = 'the passphrase; without it LETHE_KEYS_PASSPHRASE, or the terminal'

type Set = (work: Promise<number>) => Promise<void>

/** Every command, with what carries it out given to `set`. */
export function program(set: Set): Command {
  const lethe = new Command('lethe').description('A privacy-first Matrix homeserver').version(version).exitOverride()
  common(lethe, 'serve', 'run the server until it is told to stop').action((options: CommonOptions) =>
    set(serve(options)),
  )
  // It takes no settings file: nothing of a server that is there for good may be touched by it.
  bare(lethe, 'try', 'run a server on this machine whose data is gone when it stops').action((options: CommonOptions) =>
    set(tryOut(options)),
  )
  common(lethe, 'init', 'ask for the server’s name and its database, try them, and write a settings file')
    .option('--server-name <name>', 'do not ask: the part of user IDs behind the colon, which can never change')
    .option('--database-url <url>', 'do not ask: a PostgreSQL of your own; empty for one that Lethe runs by itself')
    .action((options: InitOptions) => set(init(options)))
  common(lethe, 'doctor', 'look at everything the server depends on, and say what is amiss and how to mend it')
    .option('--url <url>', 'where clients reach the server; without it public_base_url')
    .option('--offline', 'do not look at the server from the outside')
    .option('--strict', 'fail because of warnings too')
    .action((options: DoctorOptions) => set(doctor(options)))
  common(lethe, 'migrate', 'bring the database to this version')
    .option('--plan', 'only say what would be done')
    .action((options: CommonOptions & { plan?: boolean }) => set(migrateCommand(options)))
  addBackup(lethe, set)
  addConfig(lethe, set)
  addUsers(lethe, set)
  addInvites(lethe, set)
  addRooms(lethe, set)
  addKeys(lethe, set)
  addKubernetes(lethe, set)
  return lethe
}

function common(parent: Command, name: string, description: string): Command {
  return bare(parent, name, description).option(
    '--config <file>',
    'the settings, in YAML; without it LETHE_CONFIG, then ./lethe.yaml, then defaults',
  )
}

function bare(parent: Command, name: string, description: string): Command {
  return parent.command(name).description(description).option('--json', 'answer in JSON').exitOverride()
}

function group(parent: Command, name: string, description: string): Command {
  return parent.command(name).description(description).exitOverride()
}

function addBackup(lethe: Command, set: Set): void {
  common(lethe, 'backup <file>', 'write everything but the keys into one file, while the server runs').action(
    (file: string, options: CommonOptions) => set(withKeys(options, (config, db) => backUp(config, db, file, options))),
  )
  common(lethe, 'restore [file]', 'put a backup into an empty database; the server must be stopped')
    .option('--keys <file>', 'an encrypted copy of the keys, where they are not in their place')
    .option('--passphrase-file <file>', 'the passphrase of that; without it LETHE_KEYS_PASSPHRASE, or the terminal')
    .option('--accept-older', 'even if the keys are older than the backup')
    .option('--after', 'no file: the database was set back by other means, such as pg_restore')
    .action((file: string | undefined, options: RestoreOptions) => set(restoreAndFinish(file, options)))
}

function addConfig(lethe: Command, set: Set): void {
  const config = group(lethe, 'config', 'the settings')
  common(config, 'check', 'say whether they are right').action((options: CommonOptions) =>
    set(Promise.resolve(checkConfig(options))),
  )
  common(config, 'show', 'show them with their defaults, secrets masked').action((options: CommonOptions) =>
    set(withConfig(options, shownConfig)),
  )
  common(config, 'schema', 'show their JSON Schema').action((options: CommonOptions) =>
    set(Promise.resolve(shownSchema(options))),
  )
}

function addUsers(lethe: Command, set: Set): void {
  const user = group(lethe, 'user', 'accounts')
  type UserOptions = CommonOptions & { admin?: boolean; passwordStdin?: boolean; undo?: boolean; yes?: boolean }
  common(user, 'create <name>', 'make an account; its password is drawn and shown')
    .option('--admin', 'an administrator')
    .option('--password-stdin', 'take the password from the standard input')
    .action((name: string, options: UserOptions) => set(withContext(options, ctx => createUser(ctx, name, options))))
  common(user, 'list', 'show the accounts')
    .option('--all', 'deactivated ones too')
    .action((options: CommonOptions & { all?: boolean }) =>
      set(withContext(options, ctx => listAllUsers(ctx, options))),
    )
  common(user, 'reset-password <name>', 'set a new password, and sign every device out')
    .option('--password-stdin', 'take the password from the standard input')
    .action((name: string, options: UserOptions) => set(withContext(options, ctx => setPassword(ctx, name, options))))
  common(user, 'promote <name>', 'make somebody an administrator')
    .option('--undo', 'take it back')
    .action((name: string, options: UserOptions) => set(withContext(options, ctx => promote(ctx, name, options))))
  common(user, 'lock <name>', 'lock somebody out')
    .option('--undo', 'let them in again')
    .action((name: string, options: UserOptions) => set(withContext(options, ctx => lock(ctx, name, options))))
  common(user, 'erase <name>', 'close an account for good and erase what it wrote')
    .option('--yes', 'really')
    .action((name: string, options: UserOptions) => set(withContext(options, ctx => erase(ctx, name, options))))
}

function addInvites(lethe: Command, set: Set): void {
  const invite = group(lethe, 'invite', 'links with which people make their accounts')
  common(invite, 'create', 'make one, with its QR code')
    .option('--uses <number>', 'how many accounts it makes', '1')
    .option('--hours <number>', 'how long it is good', '168')
    .option('--admin', 'the accounts are administrators’')
    .action((options: CommonOptions & { uses: string; hours: string; admin?: boolean }) =>
      set(withContext(options, ctx => createInvite(ctx, options))),
    )
  common(invite, 'list', 'show those that can still be used').action((options: CommonOptions) =>
    set(withContext(options, listInvites)),
  )
  common(invite, 'revoke <name>', 'take one back, by the name that list shows').action(
    (name: string, options: CommonOptions) => set(withContext(options, ctx => revokeInvite(ctx, name))),
  )
}

function addRooms(lethe: Command, set: Set): void {
  const room = group(lethe, 'room', 'rooms')
  common(room, 'list', 'show them').action((options: CommonOptions) => set(withContext(options, listAllRooms)))
  common(room, 'show <room>', 'show one, without its content').action((name: string, options: CommonOptions) =>
    set(withContext(options, ctx => showRoom(ctx, name))),
  )
  common(room, 'purge <room>', 'remove everybody from one and delete it')
    .option('--block', 'let nobody in again')
    .option('--yes', 'really')
    .action((name: string, options: CommonOptions & { yes?: boolean; block?: boolean }) =>
      set(withContext(options, ctx => purgeRoom(ctx, name, options))),
    )
  common(
    room,
    'retention <room> [lifetime]',
    'show how long messages of one live; or say it: 12h, 30d, forever, clear',
  ).action((name: string, lifetime: string | undefined, options: CommonOptions) =>
    set(withContext(options, ctx => retentionOfRoom(ctx, name, lifetime))),
  )
  const retention = group(lethe, 'retention', 'how long messages live, by room')
  common(retention, 'list', 'show the rooms for which the operator said it').action((options: CommonOptions) =>
    set(withContext(options, listRetention)),
  )
  common(retention, 'set <room> <lifetime>', 'say it for one: 12h, 30d, forever').action(
    (name: string, lifetime: string, options: CommonOptions) =>
      set(withContext(options, ctx => setRetention(ctx, name, lifetime))),
  )
  common(retention, 'clear <room>', 'let one say it itself again').action((name: string, options: CommonOptions) =>
    set(withContext(options, ctx => clearRetention(ctx, name))),
  )
}

function addKeys(lethe: Command, set: Set): void {
  const keys = group(lethe, 'keys', 'the keys that open the database')
  common(keys, 'new-signing-key', 'draw a signing key and show it, for the setting signing_key').action(
    (options: CommonOptions) => set(Promise.resolve(newSigningKey(options))),
  )
  common(keys, 'status', 'say where they are, and what waits to be destroyed').action((options: KeysOptions) =>
    set(withKeys(options, keysStatus)),
  )
  common(keys, 'backup <file>', 'write an encrypted copy over the one before')
    .option('--passphrase-file <file>', passphraseHelp)
    .action((file: string, options: KeysOptions) => set(withKeys(options, config => backUpKeys(config, file, options))))
  common(
    keys,
    'rotate',
    'seal everything under new keys, and destroy those from before; the server must be stopped',
  ).action((options: KeysOptions) => set(withKeys(options, (config, db) => rotateServerKeys(config, db, options))))
  common(keys, 'restore <file>', 'put an encrypted copy in their place; the server must be stopped')
    .option('--passphrase-file <file>', passphraseHelp)
    .option(
      '--accept-older',
      'also one that is older than what the database has seen; of its keys those stay whose values are still held',
    )
    .action((file: string, options: KeysOptions) =>
      set(withKeys(options, (config, db) => restoreKeys(config, db, file, options))),
    )
}

function addKubernetes(lethe: Command, set: Set): void {
  const kubernetes = group(lethe, 'kubernetes', 'for the Helm chart')
  common(
    kubernetes,
    'create-secrets',
    'make Secrets through the API of the cluster that this runs in, unless they are there',
  )
    .option('--signing-key <secret>', 'one with a new signing key, as signing.key')
    .option('--password <secret>', 'one with a random password, as password')
    .option('--service-account <folder>', 'token, certificate and namespace', SERVICE_ACCOUNT)
    .action((options: KubernetesOptions) => set(createKubernetesSecrets(options)))
}

async function restoreAndFinish(file: string | undefined, options: RestoreOptions): Promise<number> {
  if ((file === undefined) !== (options.after === true)) {
    process.stderr.write('error: name the backup, or say --after\n')
    return exits.usage
  }
  return withSettings(options, config => restoreWhole(config, file ?? null, options))
}
