import { forbidden } from './errors.ts'
import { type Event } from './protocol/event.ts'
import { type RoomAlias, type RoomId, type ServerName, type UserId } from './protocol/identifiers.ts'
import { type JsonObject } from './protocol/json.ts'

/**
 * The outside, as the rooms and the rest need it. Whoever runs without federation gets `noRemote`; the federation module
 * supplies the other one. Every call may fail with a `MatrixError`.
 */
export interface Remote {
  /** True if this server talks to others at all. */
  readonly enabled: boolean
  /** Joins a room that this server is not in, through one of the servers. */
  join(userId: UserId, roomId: RoomId, via: readonly ServerName[], content: JsonObject): Promise<void>
  knock(userId: UserId, roomId: RoomId, via: readonly ServerName[], content: JsonObject): Promise<void>
  /** Leaves, or rejects the invitation to, a room that this server is not in. */
  leave(userId: UserId, roomId: RoomId): Promise<void>
  /** Asks the invited user's server to sign the invitation. */
  invite(event: Event, strippedState: readonly JsonObject[]): Promise<Event>
  resolveAlias(alias: RoomAlias): Promise<{ roomId: RoomId; servers: readonly ServerName[] } | null>
  profile(userId: UserId): Promise<JsonObject | null>
  /** Federation's answers to `/user/keys/query` and `/user/keys/claim`, for the users of one server. */
  queryKeys(server: ServerName, request: JsonObject): Promise<JsonObject>
  claimKeys(server: ServerName, request: JsonObject): Promise<JsonObject>
}

const closed = (): Promise<never> => Promise.reject(forbidden('This server does not talk to other servers'))

/** The outside of a server that keeps to itself: nobody is there, and nobody can be asked. */
export const noRemote: Remote = {
  enabled: false,
  join: closed,
  knock: closed,
  leave: closed,
  invite: closed,
  resolveAlias: () => Promise.resolve(null),
  profile: () => Promise.resolve(null),
  queryKeys: () => Promise.resolve({ device_keys: {} }),
  claimKeys: () => Promise.resolve({ one_time_keys: {} }),
}
