import { type Context } from '../context.ts'
import { countActiveAccounts } from '../storage/accounts.ts'
import { countRooms } from '../storage/admin-rooms.ts'
import { listUsers } from '../storage/admin-users.ts'
import { inspectDatabase } from '../storage/inspect.ts'
import { exits, type Outcome } from './command.ts'

/** Looks at the settings and the database as they are, and says what the operator should know. */
export async function doctor(ctx: Context): Promise<Outcome> {
  const { config } = ctx
  const anyAdmin = { exactId: null, userId: null, name: null, isGuest: null, isAdmin: true, isDeactivated: false, isLocked: null, isSuspended: null } // prettier-ignore
  const [database, accounts, rooms, admins] = await Promise.all([
    inspectDatabase(ctx.db.pool),
    countActiveAccounts(ctx.db.kysely),
    countRooms(ctx.db.kysely),
    listUsers(ctx.db.kysely, ctx.numbers.sealer, anyAdmin, { order: 'name', direction: 'f', from: 0, limit: 1 }),
  ])
  const warnings = database.map(({ message }) => message)
  if (admins.total === 0) warnings.push('Nobody administers this server: lethe user create NAME --admin')
  if (config.registration.mode === 'open') warnings.push('Registration is open to everybody')
  if (config.admin.onPublicListener) warnings.push('The public listener answers administrators')
  if (config.admin.contentAccess) warnings.push('Administrators may read content and sign in as others')
  if (!config.rateLimits.enabled) warnings.push('Requests are not limited')
  const facts = { server_name: config.serverName, accounts, administrators: admins.total, rooms }
  return {
    json: { ...facts, warnings },
    lines: [
      ...Object.entries(facts).map(([key, value]) => `${key}: ${value}`),
      ...warnings.map(warning => `Warning: ${warning}`),
      ...(warnings.length === 0 ? ['Nothing to say.'] : []),
    ],
    exit: warnings.length === 0 ? exits.done : exits.failed,
  }
}
