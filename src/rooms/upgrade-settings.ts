import { type Context } from '../context.ts'
import { parseRoomId, type RoomId } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../protocol/json.ts'
import { type OwnPushRule, parseStoredPushRules, type StoredPushRules } from '../protocol/push-rules/ruleset.ts'
import { accountDataOf, globalRoomNumber } from '../storage/account-data.ts'
import { lockAccount } from '../storage/accounts.ts'
import { type Tx } from '../storage/database.ts'
import { membershipOf } from '../storage/memberships.ts'
import { type Actor } from './actor.ts'
import { roomHead } from './head.ts'

/**
 * "When a user joins the new room, the server should automatically transfer/replicate some of the user's personalized
 * settings": the tags of the room that was upgraded, the push rules about it, and its place among the direct chats.
 * Nothing happens for a room that replaces none, or one that the user was never in; doing it again changes nothing.
 * https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-21
 */
export async function carryOver(
  ctx: Context,
  actor: Pick<Actor, 'userId' | 'userNumber'>,
  newRoomId: RoomId,
): Promise<void> {
  const create = (await roomHead(ctx, newRoomId))?.event('m.room.create')
  const predecessor = create?.content['predecessor']
  const named = isJsonObject(predecessor) ? predecessor['room_id'] : undefined
  const oldRoomId = typeof named === 'string' ? parseRoomId(named) : null
  if (oldRoomId === null || oldRoomId === newRoomId) return
  const [oldRoom, newRoom] = await Promise.all([ctx.numbers.room(oldRoomId), ctx.numbers.room(newRoomId)])
  if (!oldRoom || !newRoom) return
  const { userId, userNumber } = actor
  if (!(await membershipOf(ctx.db.kysely, oldRoom.roomNumber, userNumber))) return
  await ctx.log.transact(async (tx, announce) => {
    await lockAccount(tx, userNumber)
    const put = (roomId: RoomId | null, type: string, content: JsonValue) =>
      announce({ kind: 'account_data', userId, roomId, type, content: JSON.stringify(content) })

    const tags = await readContent(ctx, tx, userNumber, oldRoom.roomNumber, 'm.tag')
    const newTags = await readContent(ctx, tx, userNumber, newRoom.roomNumber, 'm.tag')
    if (tags !== null && newTags === null) put(newRoomId, 'm.tag', tags)

    const direct = await readContent(ctx, tx, userNumber, globalRoomNumber, 'm.direct')
    const newDirect = direct && replaceInDirectChats(direct, oldRoomId, newRoomId)
    if (newDirect) put(null, 'm.direct', newDirect)

    const stored = await readContent(ctx, tx, userNumber, globalRoomNumber, 'm.push_rules')
    const rules = stored && copyPushRules(parseStoredPushRules(stored), oldRoomId, newRoomId)
    // What is kept of push rules "is JSON as it stands".
    if (rules) put(null, 'm.push_rules', rules as unknown as JsonObject)
  })
}

/** An object out of the user's account data, or `null`. */
async function readContent(
  ctx: Context,
  tx: Tx,
  userNumber: number,
  roomNumber: number,
  type: string,
): Promise<JsonObject | null> {
  const text = await accountDataOf(tx, ctx.numbers.sealer, userNumber, roomNumber, type)
  // The column holds JSON text that this server wrote.
  const content = text === null ? null : (JSON.parse(text) as JsonValue)
  return isJsonObject(content) ? content : null
}

/** `m.direct` with the new room beside the old one; `null` if that changes nothing. */
function replaceInDirectChats(direct: JsonObject, oldRoomId: RoomId, newRoomId: RoomId): JsonObject | null {
  let hasChanged = false
  const entries = Object.entries(direct).map(([userId, rooms]): [string, JsonValue] => {
    if (!Array.isArray(rooms) || !rooms.includes(oldRoomId) || rooms.includes(newRoomId)) return [userId, rooms]
    hasChanged = true
    return [userId, [...rooms, newRoomId]]
  })
  return hasChanged ? Object.fromEntries(entries) : null
}

/** The rules with a copy for the new room of each that is about the old one; `null` if there is none to copy. */
function copyPushRules(stored: StoredPushRules, oldRoomId: RoomId, newRoomId: RoomId): StoredPushRules | null {
  const copies = (kind: 'room' | 'override' | 'underride'): OwnPushRule[] => {
    const known = new Set(stored.rules[kind].map(rule => rule.rule_id))
    return stored.rules[kind].flatMap(rule => {
      const isAbout = rule.rule_id === oldRoomId || (kind !== 'room' && rule.conditions?.some(names(oldRoomId)))
      if (!isAbout) return []
      const ruleId = rule.rule_id.includes(oldRoomId)
        ? rule.rule_id.replaceAll(oldRoomId, newRoomId)
        : `${rule.rule_id}_${newRoomId}`
      if (known.has(ruleId)) return []
      const conditions = rule.conditions?.map(condition =>
        names(oldRoomId)(condition) ? { ...condition, pattern: newRoomId } : condition,
      )
      return [{ ...rule, rule_id: ruleId, ...(conditions ? { conditions } : {}) }]
    })
  }
  const added = { room: copies('room'), override: copies('override'), underride: copies('underride') }
  if (added.room.length + added.override.length + added.underride.length === 0) return null
  return {
    ...stored,
    rules: {
      ...stored.rules,
      room: [...added.room, ...stored.rules.room],
      override: [...added.override, ...stored.rules.override],
      underride: [...added.underride, ...stored.rules.underride],
    },
  }
}

/** Whether a condition holds in that room alone. */
const names = (roomId: RoomId) => (condition: JsonObject) =>
  condition['kind'] === 'event_match' && condition['key'] === 'room_id' && condition['pattern'] === roomId
