import { type Context } from '../context.ts'
import { badJson, invalidParam } from '../errors.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../protocol/json.ts'
import { parseLevel, roomCreators } from '../protocol/power-levels.ts'
import { policyProblem, retentionStateTypes } from '../protocol/retention.ts'
import { type RoomVersion } from '../protocol/room-versions.ts'
import { serverAllowed } from '../protocol/server-acl.ts'
import { type RoomHead } from './head.ts'

/**
 * Throws for content of a state event that no client can mean: M_BAD_JSON or M_INVALID_PARAM. What the rules between
 * servers say is not looked at here; this is about mistakes that could not be undone or that others would choke on.
 */
export function checkStateContent(ctx: Context, version: RoomVersion, type: string, content: JsonObject): void {
  if (type === 'm.room.power_levels') checkPowerLevels(version, content)
  else if (retentionStateTypes.some(each => each === type)) {
    const problem = policyProblem(content, ctx.config.retention)
    if (problem !== null) throw badJson(problem)
  } else if (type === 'm.room.server_acl' && !serverAllowed(content, ctx.serverName)) {
    throw invalidParam('The list would shut this server out of the room')
  }
}

const singleLevels = ['users_default', 'events_default', 'state_default', 'ban', 'redact', 'kick', 'invite']

/** https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels */
function checkPowerLevels(version: RoomVersion, content: JsonObject): void {
  const isLevel = (value: JsonValue) => parseLevel(value, version) !== null
  for (const key of singleLevels) {
    const value = content[key]
    if (value !== undefined && !isLevel(value)) throw badJson(`${key} must be an integer`)
  }
  for (const key of ['users', 'events', 'notifications']) {
    const levels = content[key]
    if (levels === undefined) continue
    if (!isJsonObject(levels) || !Object.values(levels).every(isLevel)) throw badJson(`${key} must hold integers`)
  }
}

/** "the room creator … cannot be specified in the `users` field" of version 12. Throws M_INVALID_PARAM (400). */
export function refuseCreatorsAmongUsers(head: RoomHead, levels: JsonObject): void {
  const create = head.event('m.room.create')
  const users = levels['users']
  if (!head.version.privilegedCreators || !create || !isJsonObject(users)) return
  if (roomCreators(create, head.version).some(userId => Object.hasOwn(users, userId))) {
    throw invalidParam('A creator of the room cannot have a power level')
  }
}
