import { setFlags } from '../accounts/account.ts'
import { localAccount } from '../admin/local-account.ts'
import { listedAnswer, putAccount, resetPassword } from '../admin/users.ts'
import { receiptAddress } from '../api/pages/receipt.ts'
import { type Context } from '../context.ts'
import { invalidParam } from '../errors.ts'
import { eraseAccount } from '../privacy/erase.ts'
import { eraseAll } from '../privacy/eraser.ts'
import { parseUserId, type UserId, userIdOf } from '../protocol/identifiers.ts'
import { listUsers, type UsersWanted } from '../storage/admin-users.ts'
import { countEventsBy, eventsErased, isBeingErased } from '../storage/erasures.ts'
import { type CommonOptions, type Outcome, readStandardInput, UsageError } from './command.ts'
import { watched } from './watched.ts'
import { addressOf } from './welcome.ts'

/** The user of a name: a whole user ID, or the part of it before the colon. Throws `UsageError`. */
export function namedUser(ctx: Context, name: string): UserId {
  const userId = name.startsWith('@') ? parseUserId(name) : userIdOf(name, ctx.serverName)
  if (userId === null) throw new UsageError(`"${name}" is not a user`)
  return userId
}

const everybody: UsersWanted = { exactId: null, userId: null, name: null, isGuest: null, isAdmin: null, isDeactivated: null, isLocked: null, isSuspended: null } // prettier-ignore

/** Nobody: the operator is no user, so nothing is refused as being one's own. */
const operator = { userId: '@:' as UserId }

async function chosenPassword(ctx: Context, isFromInput: boolean): Promise<{ password: string; isDrawn: boolean }> {
  if (isFromInput) return { password: await readStandardInput(), isDrawn: false }
  return { password: Buffer.from(ctx.random.bytes(12)).toString('base64url'), isDrawn: true }
}

/** Makes an account; a password is drawn and shown unless one comes by the standard input. */
export async function createUser(
  ctx: Context,
  name: string,
  options: { readonly admin?: boolean; readonly passwordStdin?: boolean },
): Promise<Outcome> {
  const userId = namedUser(ctx, name)
  const { password, isDrawn } = await chosenPassword(ctx, options.passwordStdin === true)
  const isNew = await isUnknown(ctx, userId)
  if (!isNew) throw invalidParam(`${userId} has an account already, or had one`)
  await putAccount(ctx, operator, userId, { password, logOut: false, isAdmin: options.admin === true })
  return {
    json: { user_id: userId, admin: options.admin === true, ...(isDrawn ? { password } : {}) },
    lines: [`Made ${userId}.`, ...(isDrawn ? [`Password: ${password}`] : [])],
  }
}

async function isUnknown(ctx: Context, userId: UserId): Promise<boolean> {
  const { users } = await listUsers(ctx.db.kysely, ctx.numbers.sealer, { ...everybody, exactId: userId }, { order: 'name', direction: 'f', from: 0, limit: 1 }) // prettier-ignore
  return users.length === 0
}

const pageSize = 1_000

/** Every account, deactivated ones on request. */
export async function listAllUsers(ctx: Context, options: { readonly all?: boolean }): Promise<Outcome> {
  const wanted = { ...everybody, isDeactivated: options.all === true ? null : false }
  const found = []
  for (let from = 0; ; from += pageSize) {
    const { users } = await listUsers(ctx.db.kysely, ctx.numbers.sealer, wanted, {
      order: 'name',
      direction: 'f',
      from,
      limit: pageSize,
    })
    found.push(...users)
    if (users.length < pageSize) break
  }
  return {
    json: { users: found.map(listedAnswer) },
    lines: found.map(user => {
      const marks = [
        user.isAdmin ? 'administrator' : '', user.isGuest ? 'guest' : '', user.isLocked ? 'locked' : '',
        user.isSuspended ? 'suspended' : '', user.isDeactivated ? 'deactivated' : '',
      ] // prettier-ignore
      return [user.userId, ...marks.filter(mark => mark !== '')].join('  ')
    }),
  }
}

/** Sets a password, drawn unless one comes by the standard input, and signs every device out. */
export async function setPassword(
  ctx: Context,
  name: string,
  options: { readonly passwordStdin?: boolean },
): Promise<Outcome> {
  const userId = namedUser(ctx, name)
  const { password, isDrawn } = await chosenPassword(ctx, options.passwordStdin === true)
  await resetPassword(ctx, userId, password, true)
  return {
    json: { user_id: userId, ...(isDrawn ? { password } : {}) },
    lines: [`${userId} has a new password and is signed out.`, ...(isDrawn ? [`Password: ${password}`] : [])],
  }
}

/** Makes somebody an administrator, or one no longer. */
export async function promote(ctx: Context, name: string, options: { readonly undo?: boolean }): Promise<Outcome> {
  const isAdmin = options.undo !== true
  const account = await localAccount(ctx, namedUser(ctx, name))
  await setFlags(ctx, account, { isAdmin })
  return {
    json: { user_id: account.userId, admin: isAdmin },
    lines: [`${account.userId} is ${isAdmin ? 'an administrator' : 'no administrator'} now.`],
  }
}

/** Locks somebody out, or lets them in again. */
export async function lock(ctx: Context, name: string, options: { readonly undo?: boolean }): Promise<Outcome> {
  const isLocked = options.undo !== true
  const account = await localAccount(ctx, namedUser(ctx, name))
  await setFlags(ctx, account, { isLocked })
  return {
    json: { user_id: account.userId, locked: isLocked },
    lines: [`${account.userId} is ${isLocked ? 'locked' : 'not locked any more'}.`],
  }
}

/**
 * Deactivates an account for good and erases what it wrote. Whoever holds the lock works at it, this process or a server that
 * runs beside it, and what is begun is finished by whichever comes next.
 */
export async function erase(
  ctx: Context,
  name: string,
  options: CommonOptions & { readonly yes?: boolean },
): Promise<Outcome> {
  const account = await localAccount(ctx, namedUser(ctx, name))
  if (options.yes !== true) throw new UsageError(`This cannot be undone: say --yes to erase ${account.userId}`)
  const { kysely } = ctx.db
  const token = await eraseAccount(ctx, account)
  const total = (await eventsErased(kysely, account.userNumber)) + (await countEventsBy(kysely, account.userNumber))
  // `null` while another process is at it, which may go away.
  let own: number | null | 'working' = null
  const begin = () => {
    own = 'working'
    void eraseAll(ctx).then(
      count => (own = count),
      () => (own = 0),
    )
  }
  const isFinished = await watched(ctx, options, {
    what: 'Erasing',
    total,
    unit: 'events',
    done: () => eventsErased(kysely, account.userNumber),
    result: async () => {
      if (!(await isBeingErased(kysely, account.userNumber))) return true
      // It has been at it and did not come to the end: the server takes it up again.
      if (typeof own === 'number') return false
      if (own === null) begin()
      return null
    },
  })
  const receipt = token === null ? null : new URL(receiptAddress(ctx, token), addressOf(ctx.config)).href
  return {
    json: { user_id: account.userId, erased: true, finished: isFinished, ...(receipt === null ? {} : { receipt }) },
    lines: [
      isFinished ? `${account.userId} is erased.` : `${account.userId} is closed, and is being erased by the server.`,
      ...(receipt === null ? [] : [`A receipt of it, for whose account it was: ${receipt}`]),
    ],
  }
}
