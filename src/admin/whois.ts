import { startOfDay } from '../accounts/dates.ts'
import { type Context } from '../context.ts'
import { type UserId } from '../protocol/identifiers.ts'
import { devicesOf } from '../storage/devices.ts'
import { localAccount } from './local-account.ts'

/** The sessions of a user, each with the day when it was last used; addresses and agents are not kept here. */
export async function whois(ctx: Context, userId: UserId) {
  const account = await localAccount(ctx, userId)
  const devices = await devicesOf(ctx.db.kysely, ctx.numbers.sealer, account.userNumber)
  return {
    user_id: userId,
    devices: Object.fromEntries(
      devices.map(({ deviceId, lastSeenOn }) => [
        deviceId,
        { sessions: [{ connections: [{ last_seen: startOfDay(lastSeenOn) }] }] },
      ]),
    ),
  }
}
