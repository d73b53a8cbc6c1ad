import { describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { checkAuthEventsSelection } from '../../src/protocol/auth/auth-events.ts'
import { authorise } from '../../src/protocol/auth/authorise.ts'
import { ruleNumbers } from '../../src/protocol/auth/rules.ts'
import { type Verdict } from '../../src/protocol/event.ts'
import { type RoomVersion, roomVersions } from '../../src/protocol/room-versions.ts'
import { type Attempt, type RuleCase } from './auth-rule-cases/case.ts'
import { ruleCases } from './auth-rule-cases/index.ts'
import { type RoomFixture, populatedRoom } from './room-fixture.ts'

// The file holds the numbers of all rules, by room version, as the spec's pages print them.
const numbersOfTheSpec = JSON.parse(
  readFileSync(new URL('../vectors/auth-rule-numbers.json', import.meta.url), 'utf8'),
) as Record<string, string[]>

const cases = new Map(ruleCases.map(ruleCase => [ruleCase.rule, ruleCase]))

function judge(ruleCase: RuleCase, version: RoomVersion, make: (room: RoomFixture) => Attempt): Verdict {
  const room = populatedRoom(version)
  const { event, options, rejected = [] } = make(room)
  if (ruleCase.onAuthEvents !== true) return authorise(event, room.state, version, options)
  const authEvents = event.authEvents.flatMap(id => room.events.get(id) ?? [])
  return checkAuthEventsSelection(event, authEvents, new Set(rejected), version)
}

describe.each(roomVersions)('the authorisation rules of room version $id', version => {
  it('have the numbers that the spec gives them', () => {
    expect([...ruleNumbers(version).values()]).toEqual(numbersOfTheSpec[version.id])
  })

  it('all have a case that passes and one that is refused', () => {
    expect([...ruleNumbers(version).keys()].filter(rule => !cases.has(rule))).toEqual([])
  })

  const ofVersion = ruleCases.filter(({ rule }) => ruleNumbers(version).has(rule))
  it.each(ofVersion)('let pass what $rule allows', ruleCase => {
    expect(judge(ruleCase, version, ruleCase.passes)).toEqual({ allowed: true })
  })

  it.each(ofVersion)('refuse what $rule forbids', ruleCase => {
    const number = ruleNumbers(version).get(ruleCase.refusedBy ?? ruleCase.rule)
    expect(judge(ruleCase, version, ruleCase.refuses)).toMatchObject({
      allowed: false,
      rule: `v${version.id} ${String(number)}`,
    })
  })
})

describe('the table of cases', () => {
  it('has one entry for each rule', () => {
    expect(cases.size).toBe(ruleCases.length)
  })
})
