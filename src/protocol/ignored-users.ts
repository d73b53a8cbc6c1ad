import { parseUserId, type UserId } from './identifiers.ts'
import { isJsonObject, type JsonValue } from './json.ts'

/** The type of account data that lists whom a user ignores. */
export const ignoredUsersType = 'm.ignored_user_list'

/** The users in the JSON text of an `m.ignored_user_list`; nobody for `null`. https://spec.matrix.org/v1.19/client-server-api/#mignored_user_list */
export function ignoredUsersIn(content: string | null): ReadonlySet<UserId> {
  if (content === null) return new Set()
  // Account data is JSON that was parsed before it was stored.
  const parsed = JSON.parse(content) as JsonValue
  const users = isJsonObject(parsed) ? parsed['ignored_users'] : undefined
  if (!isJsonObject(users)) return new Set()
  return new Set(Object.keys(users).flatMap(name => parseUserId(name) ?? []))
}
