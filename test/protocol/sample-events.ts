import { buildEvent, type EventDraft, type EventReference } from '../../src/protocol/event-builder.ts'
import { type Event } from '../../src/protocol/event.ts'
import {
  type EventId,
  parseEventId,
  parseRoomId,
  parseServerName,
  parseUserId,
  type RoomId,
  type ServerName,
  type UserId,
} from '../../src/protocol/identifiers.ts'
import { roomVersion, type RoomVersion, type RoomVersionId, roomVersions } from '../../src/protocol/room-versions.ts'
import { signingKeyFromSeed, type SigningKey } from '../../src/protocol/signatures.ts'

/** The test itself wrote what it parses here: `null` means that the test is wrong. */
function must<T>(value: T | null): T {
  if (value === null) throw new Error('the test holds a malformed value')
  return value
}

export const userId = (text: string): UserId => must(parseUserId(text))
export const roomId = (text: string): RoomId => must(parseRoomId(text))
export const eventId = (text: string): EventId => must(parseEventId(text))
export const serverName = (text: string): ServerName => must(parseServerName(text))
export const versionOf = (id: RoomVersionId): RoomVersion => must(roomVersion(id))

export const home: ServerName = serverName('example.org')
export const alice: UserId = userId('@alice:example.org')
export const key: SigningKey = signingKeyFromSeed(new Uint8Array(32).fill(7), 'ed25519:test')

/** All versions as rows for `it.each`: [id, version]. */
export const everyVersion: [RoomVersionId, RoomVersion][] = roomVersions.map(version => [version.id, version])

/** A room ID, and an event ID, of the form that the version uses. */
export function roomIdFor(version: RoomVersion): RoomId {
  return roomId(version.roomIdIsCreateHash ? `!${'r'.repeat(43)}` : '!room:example.org')
}

export function referenceFor(version: RoomVersion, letter: string): EventReference {
  return version.eventIdFormat === 'chosen'
    ? { eventId: eventId(`$${letter}:example.org`), referenceHash: letter.repeat(43) }
    : { eventId: eventId(`$${letter.repeat(43)}`) }
}

/** What a test changes of the sample; `undefined` leaves an optional field out. */
export type DraftChanges = { readonly [Field in keyof EventDraft]?: EventDraft[Field] | undefined }

/** A message by Alice, complete for the version, with the given changes. */
export function draftFor(version: RoomVersion, changes: DraftChanges = {}): EventDraft {
  const draft: DraftChanges = {
    version,
    roomId: roomIdFor(version),
    eventId: version.eventIdFormat === 'chosen' ? eventId('$new:example.org') : undefined,
    sender: alice,
    type: 'm.room.message',
    content: { body: 'hello', msgtype: 'm.text' },
    prevEvents: [referenceFor(version, 'p')],
    authEvents: [referenceFor(version, 'a'), referenceFor(version, 'b')],
    depth: 5,
    originServerTs: 1_700_000_000_000,
    ...changes,
  }
  // Every required field is above; what remains undefined is optional, and goes.
  return Object.fromEntries(Object.entries(draft).filter(([, value]) => value !== undefined)) as unknown as EventDraft
}

/** Builds and signs; throws when the builder refuses. */
export function built(version: RoomVersion, changes: DraftChanges = {}): Event {
  const result = buildEvent(draftFor(version, changes), home, key)
  if (!result.ok) throw new Error(`the sample event was refused: ${result.problem}`)
  return result.event
}

/** A create event by Alice, whose version keeps its creator in `content` or not, its room ID in `room_id` or not. */
export function builtCreate(version: RoomVersion, content: EventDraft['content'] = {}): Event {
  return built(version, {
    type: 'm.room.create',
    stateKey: '',
    content: { room_version: version.id, ...(version.implicitRoomCreator ? {} : { creator: alice }), ...content },
    roomId: version.roomIdIsCreateHash ? null : roomIdFor(version),
    prevEvents: [],
    authEvents: [],
    depth: 1,
  })
}
