import { describe, expect, it } from '@jest/globals'
import { defaultRoomVersion, roomVersion, type RoomVersion, roomVersions } from '../../src/protocol/room-versions.ts'

type Trait = Exclude<keyof RoomVersion, 'id' | 'stability' | 'eventIdFormat' | 'stateResolution'>

/** From the prose of https://spec.matrix.org/v1.19/rooms/: the first and the last version in which each trait holds. */
const spans: Record<Trait, readonly [first: number, last: number]> = {
  strictCanonicalJson: [6, 12],
  enforceKeyValidity: [5, 12],
  specialAliasesRules: [1, 5],
  redactionAuthRule: [1, 2],
  limitNotificationsPowerLevels: [6, 12],
  knocking: [7, 12],
  restrictedJoins: [8, 12],
  redactionKeepsAuthorisingUser: [9, 12],
  knockRestrictedJoins: [10, 12],
  integerPowerLevels: [10, 12],
  implicitRoomCreator: [11, 12],
  updatedRedactionRules: [11, 12],
  redactsInContent: [11, 12],
  roomIdIsCreateHash: [12, 12],
  privilegedCreators: [12, 12],
}

describe('the table of room versions', () => {
  it('holds the twelve stable versions, and makes new rooms of the twelfth', () => {
    expect(roomVersions.map(version => version.id)).toEqual([
      '1',
      '2',
      '3',
      '4',
      '5',
      '6',
      '7',
      '8',
      '9',
      '10',
      '11',
      '12',
    ])
    expect(roomVersions.every(version => version.stability === 'stable')).toBe(true)
    expect(defaultRoomVersion).toBe('12')
  })

  it.each(Object.entries(spans))('has %s exactly from version to version %p', (trait, [first, last]) => {
    for (const version of roomVersions) {
      const number = Number(version.id)
      // The keys of `spans` are traits, by its type.
      expect([version.id, version[trait as Trait]]).toEqual([version.id, number >= first && number <= last])
    }
  })

  it('names the event ID format and the state resolution of each', () => {
    expect(roomVersions.map(version => version.eventIdFormat)).toEqual([
      'chosen',
      'chosen',
      'hash',
      ...Array<string>(9).fill('url_safe_hash'),
    ])
    expect(roomVersions.map(version => version.stateResolution)).toEqual([
      'v1',
      ...Array<string>(10).fill('v2'),
      'v2.1',
    ])
  })

  it('answers null for a version that does not exist', () => {
    for (const id of ['', '0', '13', '1.0', '01', ' 1', 'org.matrix.hydra.11', '__proto__', 'constructor']) {
      expect(roomVersion(id)).toBeNull()
    }
    expect(roomVersion('11')?.id).toBe('11')
  })

  it('cannot be changed', () => {
    expect(Object.isFrozen(roomVersions)).toBe(true)
    expect(roomVersions.every(version => Object.isFrozen(version))).toBe(true)
  })
})
