import { type Context, isLocal } from '../context.ts'
import { type Membership } from '../protocol/history-visibility.ts'
import { type UserId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { profileNamesOf } from '../storage/profiles.ts'

/** How long the reason for a change of membership may be, in bytes. */
export const reasonLimitBytes = 2_000

/** `displayname` and `avatar_url` as member events say them; a user of another server has none that we could vouch for. */
export async function profileContent(ctx: Context, userId: UserId): Promise<JsonObject> {
  if (!isLocal(ctx, userId)) return {}
  const { displayname = null, avatarUrl = null } =
    (await profileNamesOf(ctx.db.kysely, ctx.numbers.sealer, [userId])).get(userId) ?? {}
  return {
    ...(displayname === null ? {} : { displayname }),
    ...(avatarUrl === null ? {} : { avatar_url: avatarUrl }),
  }
}

/** The content of a member event: the membership over everything else. */
export function memberContent(membership: Membership, reason: string | undefined, more: JsonObject = {}): JsonObject {
  return { ...more, membership, ...(reason === undefined ? {} : { reason }) }
}
