import { type JsonObject } from './json.ts'

/** Every value of `m.room.history_visibility` that the spec knows. */
export const historyVisibilities = ['world_readable', 'shared', 'invited', 'joined'] as const

export type HistoryVisibility = (typeof historyVisibilities)[number]

/** Every value of a member event's `membership`; whoever has no member event counts as `leave`. */
export const memberships = ['join', 'invite', 'knock', 'leave', 'ban'] as const

export type Membership = (typeof memberships)[number]

/**
 * The visibility that the content of an `m.room.history_visibility` event sets; without an event, or if its value is not
 * understood, `shared`. https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-8
 */
export function historyVisibilityOf(content: JsonObject | undefined): HistoryVisibility {
  return historyVisibilities.find(visibility => visibility === content?.history_visibility) ?? 'shared'
}

/**
 * The membership that the content of an `m.room.member` event sets; `leave` without an event or if its value is not
 * understood, which grants nothing.
 */
export function membershipIn(content: JsonObject | undefined): Membership {
  return memberships.find(membership => membership === content?.membership) ?? 'leave'
}

/** A user looking at one event. */
export interface UserView {
  /** The history visibility in the state before the event. */
  readonly visibilityBefore: HistoryVisibility
  /** The one after it: another one only if the event is the `m.room.history_visibility` event that changes it. */
  readonly visibilityAfter: HistoryVisibility
  /** The user's membership in the state before the event. */
  readonly membershipBefore: Membership
  /** The one after it: another one only if the event is the user's own member event. */
  readonly membershipAfter: Membership
  /** Whether the user joined the room at any point after the event; it does not matter whether they left again. */
  readonly joinedAfterwards: boolean
}

/**
 * Whether a user may see an event that is in a room's history. This is the history visibility alone: rejected and
 * soft-failed events, retention and erasure are not its matter.
 * https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-8
 */
export function userMaySee(view: UserView): boolean {
  // "the user should be allowed to see the event if the `history_visibility` before *or* after the event would allow
  // them to see it", and likewise for the membership in their own member events.
  return [view.visibilityBefore, view.visibilityAfter].some(visibility =>
    [view.membershipBefore, view.membershipAfter].some(membership =>
      isVisible(visibility, membership, view.joinedAfterwards),
    ),
  )
}

/** The five numbered rules, in their order. */
function isVisible(visibility: HistoryVisibility, membership: Membership, joinedAfterwards: boolean): boolean {
  if (visibility === 'world_readable') return true
  if (membership === 'join') return true
  if (visibility === 'shared' && joinedAfterwards) return true
  if (visibility === 'invited' && membership === 'invite') return true
  return false
}

/** A server looking at one event. */
export interface ServerView {
  /** As in `UserView`. */
  readonly visibilityBefore: HistoryVisibility
  readonly visibilityAfter: HistoryVisibility
  /**
   * The memberships of the server's users in the state before the event and, if the event is a member event of one of
   * them, also the one that it sets. Empty if the server has no users there.
   */
  readonly memberships: Iterable<Membership>
  /** Whether any of the server's users joined the room at any point after the event. */
  readonly joinedAfterwards: boolean
}

/**
 * Whether a server may be given an event: exactly if one of its users may see it, since a server shows its users what
 * they may see and has to have it for that. Whether the server may ask at all (it is in the room, its ACL) is decided
 * before.
 */
export function serverMaySee(view: ServerView): boolean {
  const held = new Set<Membership>(view.memberships)
  // A server without users there is like a user who left: only what the world may read, or what it joined for later.
  held.add('leave')
  return [view.visibilityBefore, view.visibilityAfter].some(visibility =>
    [...held].some(membership => isVisible(visibility, membership, view.joinedAfterwards)),
  )
}
