import { type Context } from '../context.ts'
import { forbidden, invalidParam, MatrixError, notFound, notInRoom, tooLarge } from '../errors.ts'
import { type User } from '../http/endpoint.ts'
import { type RoomId, type UserId } from '../protocol/identifiers.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../protocol/json.ts'
import { shownAccountData, shownPushRules } from '../push/rules.ts'
import { lockAccount } from '../storage/accounts.ts'
import { accountDataOf, globalRoomNumber, roomOfMember } from '../storage/account-data.ts'
import { type AccountOwner } from './account.ts'
import { isStorable } from './text.ts'

/** Bytes of the content's JSON. */
export const accountDataLimitBytes = 262_144
/** Bytes. */
export const tagLimitBytes = 255
/** Tags that one user may put on one room. */
export const tagLimit = 1_000

/** What the server keeps itself, and has other endpoints for. */
const managedTypes: ReadonlySet<string> = new Set(['m.push_rules', 'm.fully_read'])
const tagType = 'm.tag'

/** Throws `forbidden` if the path names somebody else: people see and change their own things only. */
export function requireSelf(caller: User, userId: UserId): void {
  if (caller.userId !== userId) throw forbidden('That is not yours')
}

/**
 * Sets account data, global (`roomId` null) or of a room that the user has to do with. Throws 405 for types that the server
 * manages, `tooLarge`, `notInRoom`. https://spec.matrix.org/v1.19/client-server-api/#client-config
 */
export async function setAccountData(
  ctx: Context,
  owner: AccountOwner,
  roomId: RoomId | null,
  type: string,
  content: JsonObject,
): Promise<void> {
  checkType(type)
  if (managedTypes.has(type)) {
    throw new MatrixError('M_BAD_JSON', `${type} cannot be set through this endpoint`, { status: 405 })
  }
  const text = JSON.stringify(content)
  checkSize(text)
  if (roomId !== null) await roomNumberOf(ctx, owner, roomId)
  await ctx.log.post([{ kind: 'account_data', userId: owner.userId, roomId, type, content: text }])
}

/**
 * Account data as JSON text. Throws `notFound` when there is none, in a room that the user has nothing to do with too.
 * Push rules are there from the beginning, and come whole: the server's own with what the user changed.
 */
export async function accountData(
  ctx: Context,
  owner: AccountOwner,
  roomId: RoomId | null,
  type: string,
): Promise<string> {
  checkType(type)
  const roomNumber = roomId === null ? globalRoomNumber : await roomOfMember(ctx.db.kysely, owner.userNumber, roomId)
  const text =
    roomNumber === null
      ? null
      : await accountDataOf(ctx.db.kysely, ctx.numbers.sealer, owner.userNumber, roomNumber, type)
  if (text !== null) return shownAccountData(owner.userId, roomId, type, text)
  if (roomId === null && type === 'm.push_rules') return shownPushRules(owner.userId, null)
  throw notFound('There is no such account data')
}

/** The tags that the user put on a room. https://spec.matrix.org/v1.19/client-server-api/#room-tagging */
export async function roomTags(ctx: Context, owner: AccountOwner, roomId: RoomId): Promise<JsonObject> {
  const roomNumber = await roomOfMember(ctx.db.kysely, owner.userNumber, roomId)
  if (roomNumber === null) return {}
  return tagsIn(await accountDataOf(ctx.db.kysely, ctx.numbers.sealer, owner.userNumber, roomNumber, tagType))
}

/**
 * Puts a tag on a room, or takes it off (`content` null). Two changes at once both count. Throws `notInRoom` for a room that
 * the user has nothing to do with, `invalidParam` for a name that is too long or one tag too many.
 */
export async function changeTag(
  ctx: Context,
  owner: AccountOwner,
  roomId: RoomId,
  tag: string,
  content: JsonObject | null,
): Promise<void> {
  if (Buffer.byteLength(tag) > tagLimitBytes) throw invalidParam(`A tag may have ${tagLimitBytes} bytes`)
  const { order } = content ?? {}
  if (order !== undefined && (typeof order !== 'number' || order < 0 || order > 1)) {
    throw invalidParam('order must be a number between 0 and 1')
  }
  const roomNumber = await roomNumberOf(ctx, owner, roomId)
  await ctx.log.transact(async (tx, announce) => {
    await lockAccount(tx, owner.userNumber)
    const before = tagsIn(await accountDataOf(tx, ctx.numbers.sealer, owner.userNumber, roomNumber, tagType))
    const others = Object.entries(before).filter(([name]) => name !== tag)
    // Taking off what is not there changes nothing, and nobody need hear of it.
    if (content === null && others.length === Object.keys(before).length) return
    if (content !== null && others.length >= tagLimit) throw invalidParam(`A room may have ${tagLimit} tags`)
    const tags = Object.fromEntries(content === null ? others : [...others, [tag, content]])
    const text = JSON.stringify({ tags })
    checkSize(text)
    announce({ kind: 'account_data', userId: owner.userId, roomId, type: tagType, content: text })
  })
}

/** The tags in the text of an `m.tag`, which clients may have written themselves: what is no tag is left out. */
function tagsIn(text: string | null): JsonObject {
  if (text === null) return {}
  // The column holds JSON text that this server wrote.
  const content = JSON.parse(text) as JsonValue
  if (!isJsonObject(content) || !isJsonObject(content.tags)) return {}
  return Object.fromEntries(Object.entries(content.tags).filter(([, tag]) => isJsonObject(tag)))
}

async function roomNumberOf(ctx: Context, owner: AccountOwner, roomId: RoomId): Promise<number> {
  const roomNumber = await roomOfMember(ctx.db.kysely, owner.userNumber, roomId)
  if (roomNumber === null) throw notInRoom()
  return roomNumber
}

function checkType(type: string): void {
  if (type === '' || !isStorable(type)) throw invalidParam('The type is not valid')
}

function checkSize(text: string): void {
  if (Buffer.byteLength(text) > accountDataLimitBytes) {
    throw tooLarge(`Account data may have ${accountDataLimitBytes} bytes`)
  }
}
