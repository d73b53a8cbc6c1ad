import { type User } from '../../http/endpoint.ts'
import { type EventFilter, matchesEvent } from '../../protocol/filters.ts'
import { type RoomId } from '../../protocol/identifiers.ts'
import { isJsonObject, type JsonValue } from '../../protocol/json.ts'
import { shownAccountData, shownPushRules } from '../../push/rules.ts'
import { pushRulesType } from '../../storage/push-rules.ts'
import { type AccountDataItem } from '../../storage/sync-rooms.ts'

/** The user's account data that the filter wants, each as JSON text; `roomId` is `null` for the global ones. */
export function accountDataTexts(
  caller: User,
  filter: EventFilter,
  roomId: RoomId | null,
  items: readonly AccountDataItem[],
): string[] {
  return items.flatMap(({ type, content }) => {
    const shown = shownAccountData(caller.userId, roomId, type, content)
    return passes(filter, roomId, type, shown) ? [`{"type":${JSON.stringify(type)},"content":${shown}}`] : []
  })
}

/** The global items of a first sync: push rules are among them even of a user who never touched theirs. */
export function withPushRules(caller: User, filter: EventFilter, items: readonly AccountDataItem[]): string[] {
  const texts = accountDataTexts(caller, filter, null, items)
  if (items.some(item => item.type === pushRulesType)) return texts
  const shown = shownPushRules(caller.userId, null)
  return passes(filter, null, pushRulesType, shown)
    ? [...texts, `{"type":"${pushRulesType}","content":${shown}}`]
    : texts
}

function passes(filter: EventFilter, roomId: RoomId | null, type: string, content: string): boolean {
  if (filter.containsUrl === null) return matchesEvent(filter, { type, sender: null, roomId, content: {} })
  // Account data is JSON that was parsed before it was stored.
  const parsed = JSON.parse(content) as JsonValue
  return matchesEvent(filter, { type, sender: null, roomId, content: isJsonObject(parsed) ? parsed : {} })
}
