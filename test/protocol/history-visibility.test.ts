import { describe, expect, it } from '@jest/globals'
import {
  historyVisibilities,
  historyVisibilityOf,
  membershipIn,
  memberships,
  serverMaySee,
  userMaySee,
  type HistoryVisibility,
  type Membership,
} from '../../src/protocol/history-visibility.ts'

const N = false
const Y = true

/** Written by hand from the spec's five rules. Columns: join, invite, knock, leave, ban at the event. */
const neverJoinedAfterwards: Record<HistoryVisibility, readonly boolean[]> = {
  world_readable: [Y, Y, Y, Y, Y],
  shared: [Y, N, N, N, N],
  invited: [Y, Y, N, N, N],
  joined: [Y, N, N, N, N],
}
const joinedAfterwards: Record<HistoryVisibility, readonly boolean[]> = {
  world_readable: [Y, Y, Y, Y, Y],
  shared: [Y, Y, Y, Y, Y],
  invited: [Y, Y, N, N, N],
  joined: [Y, N, N, N, N],
}

const table = historyVisibilities.flatMap(visibility =>
  memberships.flatMap((membership, column) => [
    { visibility, membership, joins: false, visible: neverJoinedAfterwards[visibility][column] ?? null },
    { visibility, membership, joins: true, visible: joinedAfterwards[visibility][column] ?? null },
  ]),
)

const see = (visibility: HistoryVisibility, membership: Membership, joins: boolean): boolean =>
  userMaySee({
    visibilityBefore: visibility,
    visibilityAfter: visibility,
    membershipBefore: membership,
    membershipAfter: membership,
    joinedAfterwards: joins,
  })

describe('history visibility', () => {
  it.each(table)('$visibility, $membership at the event, joins later: $joins, sees it: $visible', row => {
    expect(see(row.visibility, row.membership, row.joins)).toBe(row.visible)
  })

  it.each(table)('gives a server what its user sees: $visibility, $membership, joins later: $joins', row => {
    const view = {
      visibilityBefore: row.visibility,
      visibilityAfter: row.visibility,
      memberships: [row.membership],
      joinedAfterwards: row.joins,
    }
    expect(serverMaySee(view)).toBe(row.visible)
  })

  it('does not show shared history to one who never joined', () => {
    expect(see('shared', 'leave', false)).toBe(false)
    expect(see('shared', 'invite', false)).toBe(false)
  })

  it('shows shared history from before their time to those who have joined and left again', () => {
    expect(see('shared', 'leave', true)).toBe(true)
  })

  it('shows a change of the visibility to whom either of the two would show it', () => {
    for (const before of historyVisibilities) {
      for (const after of historyVisibilities) {
        for (const membership of memberships) {
          for (const joins of [true, false]) {
            const common = { visibilityBefore: before, visibilityAfter: after, joinedAfterwards: joins }
            const expected = see(before, membership, joins) || see(after, membership, joins)
            expect(userMaySee({ ...common, membershipBefore: membership, membershipAfter: membership })).toBe(expected)
            expect(serverMaySee({ ...common, memberships: [membership] })).toBe(expected)
          }
        }
      }
    }
  })

  it('shows users their own member events if the membership before or after would', () => {
    for (const visibility of historyVisibilities) {
      for (const before of memberships) {
        for (const after of memberships) {
          const view = {
            visibilityBefore: visibility,
            visibilityAfter: visibility,
            membershipBefore: before,
            membershipAfter: after,
            joinedAfterwards: false,
          }
          expect(userMaySee(view)).toBe(see(visibility, before, false) || see(visibility, after, false))
        }
      }
    }
    const own = { visibilityBefore: 'joined', visibilityAfter: 'joined', joinedAfterwards: false } as const
    expect(userMaySee({ ...own, membershipBefore: 'leave', membershipAfter: 'join' })).toBe(true)
    expect(userMaySee({ ...own, membershipBefore: 'join', membershipAfter: 'ban' })).toBe(true)
    expect(userMaySee({ ...own, membershipBefore: 'invite', membershipAfter: 'leave' })).toBe(false)
  })

  it('gives a server that had nobody there only what the world may read or what was shared for later', () => {
    const visible = (visibility: HistoryVisibility, joins: boolean): boolean =>
      serverMaySee({
        visibilityBefore: visibility,
        visibilityAfter: visibility,
        memberships: [],
        joinedAfterwards: joins,
      })
    expect(historyVisibilities.filter(visibility => visible(visibility, false))).toEqual(['world_readable'])
    expect(historyVisibilities.filter(visibility => visible(visibility, true))).toEqual(['world_readable', 'shared'])
  })

  it('is enough for a server if one of its users may see the event', () => {
    const view = { visibilityBefore: 'joined', visibilityAfter: 'joined', joinedAfterwards: false } as const
    expect(serverMaySee({ ...view, memberships: ['ban', 'invite', 'join'] })).toBe(true)
    expect(serverMaySee({ ...view, memberships: ['ban', 'invite', 'leave'] })).toBe(false)
  })

  it('is shared where none is set or its value is not understood', () => {
    expect(historyVisibilityOf(undefined)).toBe('shared')
    expect(historyVisibilityOf({})).toBe('shared')
    expect(historyVisibilityOf({ history_visibility: 'everyone' })).toBe('shared')
    expect(historyVisibilityOf({ history_visibility: ['joined'] })).toBe('shared')
    for (const visibility of historyVisibilities) {
      expect(historyVisibilityOf({ history_visibility: visibility })).toBe(visibility)
    }
  })

  it('takes an unknown membership for none', () => {
    expect(membershipIn(undefined)).toBe('leave')
    expect(membershipIn({ membership: 'owner' })).toBe('leave')
    for (const membership of memberships) expect(membershipIn({ membership })).toBe(membership)
  })
})
