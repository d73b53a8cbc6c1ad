import { describe, expect, it } from '@jest/globals'
import { authEventsFor, checkAuthEventsSelection, stateOfAuthEvents } from '../../src/protocol/auth/auth-events.ts'
import { authorise } from '../../src/protocol/auth/authorise.ts'
import { type EventId, type RoomId } from '../../src/protocol/identifiers.ts'
import { type JsonObject } from '../../src/protocol/json.ts'
import { roomVersions } from '../../src/protocol/room-versions.ts'
import { signJson, signingKeyFromSeed } from '../../src/protocol/signatures.ts'
import { type RoomFixture, alice, bob, carol, dave, frank, populatedRoom, version } from './room-fixture.ts'

describe.each(roomVersions)('room version $id', roomVersion => {
  const selects = (room: RoomFixture, event: ReturnType<RoomFixture['event']>, rejected: EventId[] = []) =>
    checkAuthEventsSelection(
      event,
      event.authEvents.flatMap(id => room.events.get(id) ?? []),
      new Set(rejected),
      roomVersion,
    )

  it('does not let powers of another room count (A-5, MSC4307)', () => {
    const room = populatedRoom(roomVersion)
    for (const [type, stateKey] of [
      ['m.room.power_levels', ''],
      ['m.room.member', bob],
    ] as const) {
      const own = room.state.get(type, stateKey)
      const elsewhere = room.event({
        type,
        stateKey,
        sender: bob,
        content: own?.content ?? {},
        roomId: '!elsewhere:one.example' as RoomId,
      })
      const honest = room.event({ type: 'm.room.topic', stateKey: '', sender: bob })
      expect(selects(room, honest)).toEqual({ allowed: true })
      const authEvents = honest.authEvents.map(id => (id === own?.eventId ? elsewhere.eventId : id))
      const event = room.event({ type: 'm.room.topic', stateKey: '', sender: bob, authEvents })
      expect(selects(room, event)).toMatchObject({ allowed: false, reason: 'an auth event is of another room' })
    }
  })

  it('does not let a create event of another room count', () => {
    const room = populatedRoom(roomVersion)
    const event = room.event({ type: 'm.room.message' })
    room.state.set('m.room.create', '', { ...room.create, roomId: '!elsewhere' as RoomId })
    expect(authorise(event, room.state, roomVersion).allowed).toBe(false)
    room.state.delete('m.room.create', '')
    expect(authorise(event, room.state, roomVersion).allowed).toBe(false)
  })

  it('authorises on the auth events alone, and no create event that an event fails to cite is put in', () => {
    const room = populatedRoom(roomVersion)
    const event = room.event({ type: 'm.room.topic', stateKey: '', sender: bob })
    const authEvents = event.authEvents.flatMap(id => room.events.get(id) ?? [])
    const verdictOn = (cited: typeof authEvents, create: typeof event | null) =>
      authorise(event, stateOfAuthEvents(cited, create, roomVersion), roomVersion).allowed
    expect(verdictOn(authEvents, room.create)).toBe(true)
    expect(verdictOn(authEvents, null)).toBe(!roomVersion.roomIdIsCreateHash)
    const withoutCreate = authEvents.filter(({ type }) => type !== 'm.room.create')
    expect(verdictOn(withoutCreate, room.create)).toBe(roomVersion.roomIdIsCreateHash)
    expect(
      verdictOn(
        authEvents.filter(({ type }) => type !== 'm.room.member'),
        room.create,
      ),
    ).toBe(false)
  })

  it('refuses an event whose auth events are not all at hand, or cited twice (A-16)', () => {
    const room = populatedRoom(roomVersion)
    const event = room.event({ type: 'm.room.message', sender: bob })
    const authEvents = event.authEvents.flatMap(id => room.events.get(id) ?? [])
    expect(checkAuthEventsSelection(event, authEvents.slice(1), new Set(), roomVersion).allowed).toBe(false)
    const more = [...authEvents, room.event({ type: 'm.room.topic', stateKey: '' })]
    expect(checkAuthEventsSelection(event, more, new Set(), roomVersion).allowed).toBe(false)
    const twice = room.event({ ...event, authEvents: [...event.authEvents, ...event.authEvents.slice(0, 1)] })
    expect(selects(room, twice).allowed).toBe(false)
  })

  it('refuses to join, to leave or to knock for somebody else (A-12)', () => {
    for (const membership of ['join', 'leave', 'knock']) {
      const room = populatedRoom(roomVersion)
      if (membership === 'knock') room.joinRule('knock')
      const event = room.event({ type: 'm.room.member', sender: bob, stateKey: frank, content: { membership } })
      // Bob can kick those below him; carol cannot.
      const byCarol = room.event({ type: 'm.room.member', sender: carol, stateKey: dave, content: { membership } })
      if (membership !== 'leave') expect(authorise(event, room.state, roomVersion).allowed).toBe(false)
      expect(authorise(byCarol, room.state, roomVersion).allowed).toBe(false)
    }
  })

  it('keeps other servers out of a room that is not federated (A-13)', () => {
    for (const federate of [false, 'no', null]) {
      const room = populatedRoom(roomVersion, { 'm.federate': federate })
      for (const event of [
        room.event({ type: 'm.room.message', sender: bob }),
        room.event({ type: 'm.room.member', sender: frank, stateKey: frank, content: { membership: 'join' } }),
      ]) {
        expect(authorise(event, room.state, roomVersion)).toMatchObject({ reason: 'the room is not federated' })
      }
      expect(authorise(room.event({ type: 'm.room.message' }), room.state, roomVersion).allowed).toBe(true)
    }
    const open = populatedRoom(roomVersion, { 'm.federate': true })
    expect(authorise(open.event({ type: 'm.room.message', sender: bob }), open.state, roomVersion).allowed).toBe(true)
  })

  it('refuses a second create event (C-2)', () => {
    const room = populatedRoom(roomVersion)
    const event = room.event({ type: 'm.room.create', stateKey: '', content: room.create.content })
    expect(authorise(event, room.state, roomVersion).allowed).toBe(false)
    const withKey = room.event({ type: 'm.room.create', stateKey: 'x', content: room.create.content, prevEvents: [] })
    expect(authorise(withKey, room.state, roomVersion).allowed).toBe(false)
  })

  it('refuses a membership of something that is not a user', () => {
    const room = populatedRoom(roomVersion)
    for (const stateKey of ['', 'frank', null]) {
      const event = room.event({ type: 'm.room.member', stateKey, content: { membership: 'invite' } })
      expect(authorise(event, room.state, roomVersion).allowed).toBe(false)
    }
  })

  it('selects the auth events that the server-server spec lists', () => {
    const create = roomVersion.roomIdIsCreateHash ? [] : [['m.room.create', '']]
    const always = [...create, ['m.room.power_levels', ''], ['m.room.member', bob]]
    const selection = (type: string, stateKey: string | null, content: JsonObject = {}) =>
      authEventsFor({ type, stateKey, sender: bob, content }, roomVersion)

    expect(selection('m.room.create', '')).toEqual([])
    expect(selection('m.room.message', null)).toEqual(always)
    expect(selection('m.room.topic', '')).toEqual(always)
    expect(selection('m.room.member', carol, { membership: 'ban' })).toEqual([...always, ['m.room.member', carol]])
    expect(selection('m.room.member', bob, { membership: 'leave' })).toEqual(always)
    for (const membership of ['join', 'invite', 'knock']) {
      expect(selection('m.room.member', bob, { membership })).toEqual([...always, ['m.room.join_rules', '']])
    }
    const invite = { membership: 'invite', third_party_invite: { signed: { token: 'abc' } } }
    expect(selection('m.room.member', carol, invite)).toEqual([
      ...always,
      ['m.room.member', carol],
      ['m.room.join_rules', ''],
      ['m.room.third_party_invite', 'abc'],
    ])
    const restricted = { membership: 'join', join_authorised_via_users_server: alice }
    const authorising = roomVersion.restrictedJoins ? [['m.room.member', alice]] : []
    expect(selection('m.room.member', bob, restricted)).toEqual([...always, ['m.room.join_rules', ''], ...authorising])
    expect(selection('m.room.member', bob, { ...restricted, membership: 'leave' })).toEqual(always)
    expect(selection('m.room.member', bob, { ...restricted, join_authorised_via_users_server: bob })).toEqual([
      ...always,
      ['m.room.join_rules', ''],
    ])
  })

  it.each([
    ['knock', 'invite', 7],
    ['restricted', 'restricted', 8],
    ['knock_restricted', 'restricted', 10],
  ])('knows the join rule %s from its version on', (joinRule, _like, since) => {
    const room = populatedRoom(roomVersion)
    room.joinRule(joinRule)
    const event = room.event({ type: 'm.room.member', sender: dave, stateKey: dave, content: { membership: 'join' } })
    expect(authorise(event, room.state, roomVersion).allowed).toBe(Number(roomVersion.id) >= since)
  })

  it('lets people in by invitation alone where no join rule can be read', () => {
    const room = populatedRoom(roomVersion)
    room.state.delete('m.room.join_rules', '')
    const join = (user: typeof bob) =>
      authorise(
        room.event({ type: 'm.room.member', sender: user, stateKey: user, content: { membership: 'join' } }),
        room.state,
        roomVersion,
      ).allowed
    expect([join(dave), join(frank)]).toEqual([true, false])
    room.send({ type: 'm.room.join_rules', stateKey: '', content: { join_rule: ['public'] } })
    expect([join(dave), join(frank)]).toEqual([false, false])
  })
})

describe('room version 12 (C-2)', () => {
  const roomVersion = version('12')

  it('has no create event among the auth events', () => {
    const room = populatedRoom(roomVersion)
    const event = room.event({ type: 'm.room.message' })
    const citing = room.event({ ...event, authEvents: [room.create.eventId, ...event.authEvents] })
    const authEvents = citing.authEvents.flatMap(id => room.events.get(id) ?? [])
    expect(checkAuthEventsSelection(citing, authEvents, new Set(), roomVersion)).toMatchObject({ rule: 'v12 3.2' })
  })

  it('refuses events whose room is not the hash of the create event', () => {
    const room = populatedRoom(roomVersion)
    const event = room.event({ type: 'm.room.message', roomId: '!other' as RoomId })
    room.state.set('m.room.create', '', { ...room.create, roomId: '!other' as RoomId })
    expect(authorise(event, room.state, roomVersion)).toMatchObject({ allowed: false, rule: 'v12 2' })
  })
})

describe('a restricted join', () => {
  it('is refused unless its signature is known to be there', () => {
    const room = populatedRoom(version('12'))
    room.joinRule('restricted')
    const event = room.event({
      type: 'm.room.member',
      sender: frank,
      stateKey: frank,
      content: { membership: 'join', join_authorised_via_users_server: bob },
    })
    expect(authorise(event, room.state, room.version).allowed).toBe(false)
    expect(authorise(event, room.state, room.version, { isSignedBy: () => true }).allowed).toBe(true)
    const nobody = { ...event, content: { ...event.content, join_authorised_via_users_server: 'bob' } }
    expect(authorise(nobody, room.state, room.version, { isSignedBy: () => true }).allowed).toBe(false)
  })
})

describe('a third-party invite', () => {
  it('is given up after a bounded number of signatures', () => {
    const room = populatedRoom(version('12'))
    const key = signingKeyFromSeed(Buffer.alloc(32, 1), 'ed25519:0')
    const stranger = signingKeyFromSeed(Buffer.alloc(32, 2), 'ed25519:0')
    const keys = Array.from({ length: 200 }, () => ({ public_key: stranger.publicKey }))
    const inviteWith = (publicKeys: JsonObject[]): boolean => {
      room.send({ type: 'm.room.third_party_invite', sender: bob, stateKey: 't', content: { public_keys: publicKeys } })
      const signed = signJson({ mxid: frank, token: 't' }, 'id.example', key)
      const content = { membership: 'invite', third_party_invite: { signed } }
      const event = room.event({ type: 'm.room.member', sender: bob, stateKey: frank, content })
      return authorise(event, room.state, room.version).allowed
    }
    expect(inviteWith([...keys.slice(0, 10), { public_key: key.publicKey }])).toBe(true)
    expect(inviteWith([...keys, { public_key: key.publicKey }])).toBe(false)
  })
})
