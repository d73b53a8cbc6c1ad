import { type RuleCase } from './case.ts'
import { joinCases, moderationCases } from './membership.ts'
import { powerLevelsCases } from './power-levels.ts'
import { authEventsCases, createCases, roomCases } from './room.ts'
import { thirdPartyInviteCases } from './third-party-invite.ts'

/** A pair of cases for every rule that any room version has. */
export const ruleCases: readonly RuleCase[] = [
  ...createCases,
  ...authEventsCases,
  ...roomCases,
  ...joinCases,
  ...thirdPartyInviteCases,
  ...moderationCases,
  ...powerLevelsCases,
]
