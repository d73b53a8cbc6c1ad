import { type Context } from '../../src/context.ts'
import { type User } from '../../src/http/endpoint.ts'
import { parseDeviceId, userIdOf } from '../../src/protocol/identifiers.ts'

/** An account with a device, written straight into the database, for tests of what lies beneath the HTTP API. */
export async function localUser(ctx: Context, name: string, device: string): Promise<User> {
  const [userId, deviceId] = [userIdOf(name, ctx.serverName), parseDeviceId(device)]
  if (userId === null || deviceId === null) throw new Error('not a name of a user and of a device')
  const userNumber = await ctx.numbers.user(userId)
  await ctx.db.pool.query('INSERT INTO accounts (user_number) VALUES ($1) ON CONFLICT DO NOTHING', [userNumber])
  await ctx.db.pool.query('INSERT INTO devices (user_number, device_id) VALUES ($1, $2)', [userNumber, deviceId])
  return { userId, userNumber, deviceId, isAdmin: false, isGuest: false, isSuspended: false, tokenHash: null }
}
