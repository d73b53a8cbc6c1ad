/** The room versions that exist and that this server takes part in. */
export type RoomVersionId = '1' | '2' | '3' | '4' | '5' | '6' | '7' | '8' | '9' | '10' | '11' | '12'

/**
 * Everything in which one room version differs from another, each under its own name, so that no rule ever compares
 * version numbers. https://spec.matrix.org/v1.19/rooms/
 */
export interface RoomVersion {
  readonly id: RoomVersionId
  /** As told to clients in their capabilities. */
  readonly stability: 'stable' | 'unstable'
  /**
   * How an event gets its ID: chosen by its server as `$opaque:server` (1, 2), or the reference hash in standard
   * base64 (3) or in URL-safe base64 (4 on). With `'chosen'`, `prev_events` and `auth_events` are pairs of an ID and
   * a hash, and the server named in the event ID must have signed too.
   */
  readonly eventIdFormat: 'chosen' | 'hash' | 'url_safe_hash'
  readonly stateResolution: 'v1' | 'v2' | 'v2.1'
  /** Events must be canonical JSON: integers within ±(2^53−1) only (6 on). */
  readonly strictCanonicalJson: boolean
  /** A signing key must have been valid at the event's `origin_server_ts` (5 on). */
  readonly enforceKeyValidity: boolean
  /** `m.room.aliases` has an authorisation rule of its own, and `aliases` outlives a redaction (1 to 5). */
  readonly specialAliasesRules: boolean
  /** `m.room.redaction` is authorised by the redact level or the same server (1, 2); later, it is applied by them. */
  readonly redactionAuthRule: boolean
  /** A change of `notifications` in the power levels is limited like a change of `events` (6 on). */
  readonly limitNotificationsPowerLevels: boolean
  /** The membership `knock` and the join rule `knock` (7 on). */
  readonly knocking: boolean
  /** The join rule `restricted`; `allow` outlives a redaction of the join rules (8 on). */
  readonly restrictedJoins: boolean
  /** `join_authorised_via_users_server` outlives a redaction of a membership (9 on). */
  readonly redactionKeepsAuthorisingUser: boolean
  /** The join rule `knock_restricted` (10 on). */
  readonly knockRestrictedJoins: boolean
  /** Power levels must be integers (10 on); before, strings that hold integers, and up to version 5 floats, count too. */
  readonly integerPowerLevels: boolean
  /** The creator is the sender of the create event (11 on), not its `content.creator`. */
  readonly implicitRoomCreator: boolean
  /** The redaction algorithm of version 11 (11 on). */
  readonly updatedRedactionRules: boolean
  /** What a redaction redacts is in `content.redacts` (11 on), not at the top level. */
  readonly redactsInContent: boolean
  /** The room's ID is the create event's ID with `!`; the create event has no `room_id` and is never an auth event (12). */
  readonly roomIdIsCreateHash: boolean
  /** The creators (sender and `additional_creators`) have infinite power, which no event can take away (12). */
  readonly privilegedCreators: boolean
}

const version1: RoomVersion = {
  id: '1',
  stability: 'stable',
  eventIdFormat: 'chosen',
  stateResolution: 'v1',
  strictCanonicalJson: false,
  enforceKeyValidity: false,
  specialAliasesRules: true,
  redactionAuthRule: true,
  limitNotificationsPowerLevels: false,
  knocking: false,
  restrictedJoins: false,
  redactionKeepsAuthorisingUser: false,
  knockRestrictedJoins: false,
  integerPowerLevels: false,
  implicitRoomCreator: false,
  updatedRedactionRules: false,
  redactsInContent: false,
  roomIdIsCreateHash: false,
  privilegedCreators: false,
}
const version2: RoomVersion = { ...version1, id: '2', stateResolution: 'v2' }
const version3: RoomVersion = { ...version2, id: '3', eventIdFormat: 'hash', redactionAuthRule: false }
const version4: RoomVersion = { ...version3, id: '4', eventIdFormat: 'url_safe_hash' }
const version5: RoomVersion = { ...version4, id: '5', enforceKeyValidity: true }
const version6: RoomVersion = {
  ...version5,
  id: '6',
  strictCanonicalJson: true,
  specialAliasesRules: false,
  limitNotificationsPowerLevels: true,
}
const version7: RoomVersion = { ...version6, id: '7', knocking: true }
const version8: RoomVersion = { ...version7, id: '8', restrictedJoins: true }
const version9: RoomVersion = { ...version8, id: '9', redactionKeepsAuthorisingUser: true }
const version10: RoomVersion = { ...version9, id: '10', knockRestrictedJoins: true, integerPowerLevels: true }
const version11: RoomVersion = {
  ...version10,
  id: '11',
  implicitRoomCreator: true,
  updatedRedactionRules: true,
  redactsInContent: true,
}
const version12: RoomVersion = {
  ...version11,
  id: '12',
  stateResolution: 'v2.1',
  roomIdIsCreateHash: true,
  privilegedCreators: true,
}

/** All supported room versions, oldest first. The capabilities endpoint lists each with its stability. */
export const roomVersions: readonly RoomVersion[] = Object.freeze(
  [
    version1,
    version2,
    version3,
    version4,
    version5,
    version6,
    version7,
    version8,
    version9,
    version10,
    version11,
    version12,
  ].map(version => Object.freeze(version)),
)

const byId: ReadonlyMap<string, RoomVersion> = new Map(roomVersions.map(version => [version.id, version]))

/** The version that new rooms get unless somebody asks for another one. */
export const defaultRoomVersion: RoomVersionId = '12'

/** The room version of that name, or `null` for one that we do not know. A room without `room_version` is of version 1. */
export function roomVersion(id: string): RoomVersion | null {
  return byId.get(id) ?? null
}
