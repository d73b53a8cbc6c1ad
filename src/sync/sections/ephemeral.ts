import { type Context } from '../../context.ts'
import { type EventFilter, matchesEvent } from '../../protocol/filters.ts'
import { type RoomId, type UserId } from '../../protocol/identifiers.ts'
import { type JsonObject } from '../../protocol/json.ts'
import { type ReceiptRow } from '../../storage/sync-receipts.ts'

type ByUser = Record<string, JsonObject>

/**
 * The receipts of one room as the JSON text of `m.receipt` events; none if the filter does not want them. Private ones must
 * have been left out for everybody but their owner. An event has room for one receipt of each user, type and event, so
 * receipts of several threads at the same event come in several.
 * https://spec.matrix.org/v1.19/client-server-api/#mreceipt
 */
export async function receiptEventTexts(
  ctx: Context,
  filter: EventFilter,
  roomId: RoomId,
  receipts: readonly ReceiptRow[],
): Promise<string[]> {
  if (receipts.length === 0) return []
  const names = await ctx.numbers.userIds(receipts.map(receipt => receipt.userNumber))
  const contents: Map<string, Map<string, ByUser>>[] = []
  for (const { eventId, receiptType, userNumber, threadId, readTs } of receipts) {
    const userId = names.get(userNumber)
    if (userId === undefined) continue
    let content = contents.find(each => each.get(eventId)?.get(receiptType)?.[userId] === undefined)
    if (!content) contents.push((content = new Map<string, Map<string, ByUser>>()))
    let ofEvent = content.get(eventId)
    if (!ofEvent) content.set(eventId, (ofEvent = new Map<string, ByUser>()))
    let ofType = ofEvent.get(receiptType)
    if (!ofType) ofEvent.set(receiptType, (ofType = {}))
    ofType[userId] = threadId === '' ? { ts: readTs } : { ts: readTs, thread_id: threadId }
  }
  return contents.flatMap(events => {
    const content = Object.fromEntries([...events].map(([eventId, types]) => [eventId, Object.fromEntries(types)]))
    const isWanted = matchesEvent(filter, { type: 'm.receipt', sender: null, roomId, content })
    return isWanted ? [JSON.stringify({ type: 'm.receipt', content })] : []
  })
}

/** Who is typing in a room, as the JSON text of an `m.typing` event; `null` if the filter does not want it. */
export function typingEventText(filter: EventFilter, roomId: RoomId, userIds: readonly UserId[]): string | null {
  const content = { user_ids: [...userIds] }
  if (!matchesEvent(filter, { type: 'm.typing', sender: null, roomId, content })) return null
  return JSON.stringify({ type: 'm.typing', content })
}
