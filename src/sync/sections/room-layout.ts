import { timelineToken } from '../token.ts'
import { type Counts, merged, type RoomCounts } from '../unread/state.ts'

/** The parts of one room in an answer, each as JSON texts. */
export interface RoomParts {
  readonly timeline: readonly string[]
  readonly isLimited: boolean
  /** The position before the first event of the timeline. */
  readonly before: number
  readonly state: readonly string[]
  readonly stateAfterKeys: readonly string[]
  readonly accountData: readonly string[]
  /** What only members are told; `null` for a room that was left. */
  readonly toMembers: {
    readonly ephemeral: readonly string[]
    /** '{}' where it has not changed. */
    readonly summary: string
    readonly counts: RoomCounts | null
    readonly countsByThread: boolean
  } | null
}

/** A room of the answer as JSON text. https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync */
export function layOutRoom(parts: RoomParts): string {
  const { timeline, isLimited, before, state, stateAfterKeys, accountData, toMembers } = parts
  const fields = [
    `"timeline":{"events":[${timeline.join(',')}],"limited":${isLimited},"prev_batch":"${timelineToken(before)}"}`,
  ]
  const stateText = `{"events":[${state.join(',')}]}`
  if (stateAfterKeys.length > 0) for (const key of stateAfterKeys) fields.push(`"${key}":${stateText}`)
  else fields.push(`"state":${stateText}`)
  fields.push(`"account_data":{"events":[${accountData.join(',')}]}`)
  if (toMembers) {
    const { ephemeral, summary, counts, countsByThread } = toMembers
    fields.push(`"ephemeral":{"events":[${ephemeral.join(',')}]}`, `"summary":${summary}`)
    if (counts) fields.push(...unreadTexts(counts, countsByThread))
  }
  return `{${fields.join(',')}}`
}

function unreadTexts(counts: RoomCounts, byThread: boolean): string[] {
  const text = ({ notifications, highlights }: Counts) =>
    `{"notification_count":${notifications},"highlight_count":${highlights}}`
  if (!byThread) return [`"unread_notifications":${text(merged(counts))}`]
  const threads = [...counts.threads].map(([root, each]) => `${JSON.stringify(root)}:${text(each)}`)
  return [`"unread_notifications":${text(counts.main)}`, `"unread_thread_notifications":{${threads.join(',')}}`]
}
