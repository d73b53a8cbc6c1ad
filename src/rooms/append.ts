import { type Context } from '../context.ts'
import { badJson, forbidden, invalidParam, roomInUse, tooLarge, unavailable } from '../errors.ts'
import { authEventsFor } from '../protocol/auth/auth-events.ts'
import { authorise } from '../protocol/auth/authorise.ts'
import { mayRedact } from '../protocol/auth/redaction.ts'
import { kept, type Lifespan } from '../privacy/seal.ts'
import { type Event } from '../protocol/event.ts'
import { buildEvent } from '../protocol/event-builder.ts'
import { readStoredEvent } from '../protocol/event-format.ts'
import { referenceHash } from '../protocol/hashes.ts'
import { membershipIn } from '../protocol/history-visibility.ts'
import { type EventId, type RoomAlias, type RoomId, type UserId } from '../protocol/identifiers.ts'
import { type JsonObject } from '../protocol/json.ts'
import { mediaIn } from '../protocol/media-in.ts'
import { redactPdu } from '../protocol/redaction.ts'
import { relationOf } from '../protocol/relations.ts'
import { selfDestructTs, expiryOf } from '../protocol/retention.ts'
import { type RoomVersion } from '../protocol/room-versions.ts'
import { StateMap } from '../protocol/state-map.ts'
import { DatabaseError } from '../storage/database.ts'
import { eventBody, eventsById } from '../storage/events.ts'
import { type Announcement, type NewEvent, type NewSnapshot, type TransactionKey } from '../storage/log-changes.ts'
import { eventFlags, type StoredEvent } from '../storage/log-entries.ts'
import { RoomHead, roomHeads } from './head.ts'
import { lifetimeIn } from './visibility.ts'

/** What a user says; the rest of the event is ours to write. */
export interface Draft {
  readonly sender: UserId
  readonly type: string
  /** Absent for an event that is not a state event. */
  readonly stateKey?: string
  readonly content: JsonObject
  readonly redacts?: EventId
  /** Milliseconds since the epoch; now where absent. */
  readonly originServerTs?: number
  readonly transaction?: TransactionKey
}

/** What a new event cites at most; a room with more loose ends ties up the rest with the next ones. */
const citedExtremities = 20
/** A difference shorter than this is kept however small the state is. */
const shortDifference = 16
/** How often an append is built again because another process was faster. */
const attempts = 10

/**
 * A room that is being appended to. Events are added one after another, each on top of the one before; nothing is
 * visible to anybody before the whole append is committed.
 */
export class OpenRoom {
  readonly #ctx: Context
  /** The room as it stands, with what this append has added so far. */
  readonly head: RoomHead
  readonly #changes: NewEvent[] = []
  readonly #snapshots: NewSnapshot[] = []
  readonly #announcements: Announcement[] = []
  /** True once the head may differ from what is committed or on its way. */
  hasTouchedHead = false

  constructor(ctx: Context, head: RoomHead) {
    this.#ctx = ctx
    this.head = head
  }

  /**
   * Builds, signs and authorises an event and puts it on top. Returns it; it is committed with the rest of the append.
   * Throws M_FORBIDDEN if the rules refuse it, M_BAD_JSON or M_TOO_LARGE if its format does.
   */
  async add(draft: Draft): Promise<Event> {
    const event = this.#build(draft)
    const { head } = this
    const verdict = authorise(event, head.authState, head.version, {
      isSignedBy: server => server === this.#ctx.serverName,
    })
    if (!verdict.allowed) throw forbidden(`You are not allowed to do that: ${verdict.reason}`)
    await this.#put(event, draft)
    return event
  }

  /** Lets an announcement stand or fall with the events. */
  announce(announcement: Announcement): void {
    this.#announcements.push(announcement)
  }

  #build(draft: Draft): Event {
    const { head } = this
    const { version } = head
    const cite = (event: Event) => ({
      eventId: event.eventId,
      ...(version.eventIdFormat === 'chosen' ? { referenceHash: referenceHash(event.pdu, version) } : {}),
    })
    const stateKey = draft.stateKey ?? null
    const authEvents = authEventsFor({ ...draft, stateKey }, version).flatMap(
      ([type, key]) => head.event(type, key) ?? [],
    )
    const read = buildEvent(
      {
        version,
        roomId: version.roomIdIsCreateHash && draft.type === 'm.room.create' ? null : head.roomId,
        sender: draft.sender,
        type: draft.type,
        content: draft.content,
        prevEvents: head.forwardExtremities.slice(0, citedExtremities).map(({ event }) => cite(event)),
        authEvents: authEvents.map(cite),
        depth: head.depth + 1,
        originServerTs: draft.originServerTs ?? this.#ctx.clock.now(),
        ...(draft.stateKey === undefined ? {} : { stateKey: draft.stateKey }),
        ...(draft.redacts === undefined ? {} : { redacts: draft.redacts }),
        ...(version.eventIdFormat === 'chosen' ? { eventId: chosenEventId(this.#ctx) } : {}),
      },
      this.#ctx.serverName,
      this.#ctx.signingKey,
    )
    if (read.ok) return read.event
    throw read.tooLarge ? tooLarge(`The event is too large: ${read.problem}`) : badJson(`The event is not valid: ${read.problem}`) // prettier-ignore
  }

  /** Puts an authorised event on top of the room. */
  async #put(event: Event, draft: Draft): Promise<void> {
    const { numbers, clock } = this.#ctx
    const { head } = this
    this.hasTouchedHead = true
    const [eventNumber, typeNumber, stateKeyNumber, senderNumber] = await Promise.all([
      numbers.next('event'),
      numbers.type(event.type),
      event.stateKey === null ? null : numbers.stateKey(event.stateKey),
      numbers.user(event.sender),
    ])
    const prunes = event.redacts === null ? [] : await this.#prune(event, event.redacts)
    const ageTs = Math.min(event.originServerTs, clock.now())
    const stored: StoredEvent = {
      eventNumber,
      roomNumber: head.facts.roomNumber,
      position: null,
      event,
      flags: 0,
      ageTs,
      selfDestructTs: selfDestructTs(event),
      snapshotNumber: null,
      redactedBy: null,
      transaction: draft.transaction ?? null,
    }

    let stateChanges: NewEvent['stateChanges'] = []
    if (event.stateKey !== null && stateKeyNumber !== null) {
      const replaced = head.state.get(event.type, event.stateKey) ?? null
      head.setState(event.type, event.stateKey, stored)
      await this.#newSnapshot(eventNumber, replaced)
      stateChanges = [
        { type: event.type, stateKey: event.stateKey, event: stored, replaced, typeNumber, stateKeyNumber },
      ]
    }
    // A member event's state key is a user ID: the rules refuse any other.
    const member = event.type === 'm.room.member' ? (event.stateKey as UserId | null) : null
    const relation = event.stateKey === null ? relationOf(event.content) : null
    this.#changes.push({
      eventNumber,
      event,
      body: eventBody(event, head.version),
      prunedBody: event.stateKey === null ? null : prunedText(event, head.version),
      lifespan: this.#lifespan(event, ageTs),
      flags: 0,
      ageTs,
      selfDestructTs: stored.selfDestructTs,
      typeNumber,
      stateKeyNumber,
      senderNumber,
      snapshotNumber: head.snapshot?.snapshotNumber ?? null,
      placement: 'timeline',
      stateChanges,
      memberships:
        member === null
          ? []
          : [
              {
                userId: member,
                userNumber: await numbers.user(member),
                membership: membershipIn(event.content),
                eventNumber,
              },
            ],
      prunes,
      media: event.type === 'm.room.encrypted' ? [] : mediaIn(event.content, this.#ctx.serverName),
      relation: relation && { parentId: relation.eventId, relType: relation.relType },
      transaction: draft.transaction ?? null,
    })
    head.depth = event.depth
    head.forwardExtremities = [{ eventNumber, event }, ...head.forwardExtremities.slice(citedExtremities)]
  }

  /** How long an event is to be readable: what sets the room's state, for as long as the room; else as the room says now. */
  #lifespan(event: Event, ageTs: number): Lifespan {
    const expiresTs = expiryOf(event, ageTs, lifetimeIn(this.#ctx, this.head))
    return expiresTs === null ? kept : { kind: 'until', expiresTs, lifetimeMs: expiresTs - ageTs }
  }

  /** What a redaction prunes: its target, if it is in this room, may be redacted by this sender and is not pruned yet. */
  async #prune(redaction: Event, targetId: EventId): Promise<NewEvent['prunes']> {
    const { head } = this
    const [target] = await eventsById(this.#ctx.db.kysely, this.#ctx.numbers, [targetId])
    if (!target || target.roomNumber !== head.facts.roomNumber || (target.flags & eventFlags.redacted) !== 0) return []
    if (!mayRedact(redaction, target.event, head.authState, head.version).allowed) return []
    const pruned = prunedEvent(target.event, head.version)
    if (!pruned) return []
    const { type, stateKey } = target.event
    if (stateKey !== null && head.state.get(type, stateKey)?.eventNumber === target.eventNumber) {
      head.setState(type, stateKey, { ...target, event: pruned, flags: target.flags | eventFlags.redacted })
    }
    const lifespan = this.#lifespan(target.event, target.ageTs)
    return [{ eventNumber: target.eventNumber, eventId: targetId, body: eventBody(pruned, head.version), lifespan }]
  }

  async #newSnapshot(added: number, replaced: StoredEvent | null): Promise<void> {
    const { head } = this
    const snapshotNumber = await this.#ctx.numbers.next('snapshot')
    const before = head.snapshot
    if (before) {
      const difference = { added: new Set(before.added), removed: new Set(before.removed) }
      if (replaced && !difference.added.delete(replaced.eventNumber)) difference.removed.add(replaced.eventNumber)
      difference.added.add(added)
      if (
        difference.added.size + difference.removed.size <=
        Math.max(shortDifference, 2 * Math.sqrt(head.state.size))
      ) {
        head.snapshot = { snapshotNumber, fullNumber: before.fullNumber, ...difference }
        this.#snapshots.push({
          snapshotNumber,
          baseNumber: before.fullNumber,
          added: [...difference.added],
          removed: [...difference.removed],
        })
        return
      }
    }
    head.snapshot = { snapshotNumber, fullNumber: snapshotNumber, added: new Set(), removed: new Set() }
    const all = [...head.state.values()].map(stored => stored.eventNumber)
    this.#snapshots.push({ snapshotNumber, baseNumber: null, added: all, removed: [] })
  }

  /** Sends the append to the log. For `append` and `makeRoom`. */
  commit(expectedVersion: number, newRoom: NewRoom | null) {
    const { head } = this
    head.headVersion = expectedVersion + 1
    for (const { eventNumber } of this.#changes) head.underWay.add(eventNumber)
    return this.#ctx.log.append({
      roomId: head.roomId,
      roomNumber: head.facts.roomNumber,
      newRoom: newRoom && { version: head.version.id, ...newRoom },
      expectedVersion,
      head: {
        version: head.headVersion,
        snapshotNumber: head.snapshot?.snapshotNumber ?? null,
        forwardExtremities: head.forwardExtremities.map(({ eventNumber }) => eventNumber),
        depth: head.depth,
      },
      events: this.#changes,
      snapshots: this.#snapshots,
      announcements: this.#announcements,
    })
  }

  get isEmpty(): boolean {
    return this.#changes.length === 0 && this.#announcements.length === 0
  }
}

interface NewRoom {
  readonly isPublic: boolean
  readonly aliases: readonly { readonly alias: RoomAlias; readonly creatorNumber: number }[]
}

/** An event as a redaction leaves it; `null` only if the event was damaged before. */
export function prunedEvent(event: Event, version: RoomVersion): Event | null {
  const read = readStoredEvent(redactPdu(event.pdu, version), event.eventId, version)
  return read.ok ? read.event : null
}

function prunedText(event: Event, version: RoomVersion): string | null {
  const pruned = prunedEvent(event, version)
  return pruned && eventBody(pruned, version)
}

/** An event ID for room versions 1 and 2. */
function chosenEventId(ctx: Context): EventId {
  // It has the grammar of an event ID of those versions by construction.
  return `$${ctx.random.letters(24)}:${ctx.serverName}` as EventId
}

/** What an append came to. `repeated`: the request's transaction ID was used before, for this event. */
export type Appended =
  | { readonly outcome: 'committed'; readonly stored: readonly StoredEvent[] }
  | { readonly outcome: 'repeated'; readonly eventId: EventId }

/**
 * The one door through which events enter a room. `build` adds events to the room on top of its present head; they are
 * committed together, or not at all. `build` may run again if another process was faster, so it must not do anything
 * else that lasts. Resolves when the events are durable. Throws what `build` throws; M_FORBIDDEN for an unknown room.
 */
export async function append(
  ctx: Context,
  roomId: RoomId,
  build: (room: OpenRoom) => Promise<void>,
): Promise<Appended> {
  const heads = roomHeads(ctx)
  for (let attempt = 0; attempt < attempts; attempt++) {
    const commit = await heads.exclusively(roomId, async () => {
      const head = await heads.get(roomId)
      if (!head) throw forbidden()
      // The head is changed in place, and dropped if the append does not come to its end.
      const expectedVersion = head.headVersion
      const room = new OpenRoom(ctx, head)
      try {
        await build(room)
      } catch (error) {
        if (room.hasTouchedHead) heads.drop(roomId)
        throw error
      }
      if (room.isEmpty) return null
      if (heads.current(roomId) !== head) return 'moved' as const
      // Not awaited here: the next append builds on this one while it is on its way.
      return { committing: room.commit(expectedVersion, null) }
    })
    if (commit === null) return { outcome: 'committed', stored: [] }
    if (commit === 'moved') continue
    try {
      const outcome = await commit.committing
      if (outcome.outcome === 'committed') return outcome
      heads.drop(roomId)
      if (outcome.outcome === 'repeated') return outcome
    } catch (error) {
      heads.drop(roomId)
      throw error
    }
  }
  throw unavailable('The room is too busy; try again')
}

/**
 * Makes a room: `build` adds its events on top of the create event. The room, its aliases and all of its events come into
 * being together, or not at all; `build` may run again, so it must not do anything else that lasts. Returns the room's ID.
 * Throws M_ROOM_IN_USE if an alias is taken, and what `build` throws.
 */
export async function makeRoom(
  ctx: Context,
  version: RoomVersion,
  createEvent: Draft,
  newRoom: NewRoom,
  build: (room: OpenRoom) => Promise<void>,
): Promise<RoomId> {
  const nowMs = createEvent.originServerTs ?? ctx.clock.now()
  for (let attempt = 0; attempt < attempts; attempt++) {
    try {
      // Two rooms of version 12 that one user makes in one millisecond would be the same room: the later waits for the next.
      const draft = { ...createEvent, originServerTs: nowMs + attempt }
      return await tryMakeRoom(ctx, version, draft, newRoom, build)
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error
      if (error.isUniqueViolation('room_aliases_pkey')) throw roomInUse()
      if (!error.isUniqueViolation('rooms_room_id_key')) throw error
    }
  }
  throw unavailable('Too many rooms are being made; try again')
}

async function tryMakeRoom(
  ctx: Context,
  version: RoomVersion,
  createEvent: Draft,
  newRoom: NewRoom,
  build: (room: OpenRoom) => Promise<void>,
): Promise<RoomId> {
  // In room version 12 the create event is the room's ID: the room learns its own name from it.
  const roomId = version.roomIdIsCreateHash
    ? createEventOf(ctx, version, createEvent).roomId
    : // It has the grammar of a room ID by construction.
      (`!${ctx.random.letters(18)}:${ctx.serverName}` as RoomId)
  const head = new RoomHead({
    facts: { roomNumber: await ctx.numbers.next('room'), roomId, version },
    version: 0,
    depth: 0,
    forwardExtremities: [],
    snapshot: null,
    retentionOverride: null,
    state: [],
  })
  const room = new OpenRoom(ctx, head)
  await room.add(createEvent)
  await build(room)
  const outcome = await room.commit(0, newRoom)
  if (outcome.outcome !== 'committed') throw unavailable()
  return roomId
}

function createEventOf(ctx: Context, version: RoomVersion, draft: Draft): Event {
  const read = buildEvent(
    {
      version,
      roomId: null,
      sender: draft.sender,
      type: draft.type,
      stateKey: '',
      content: draft.content,
      prevEvents: [],
      authEvents: [],
      depth: 1,
      originServerTs: draft.originServerTs ?? ctx.clock.now(),
    },
    ctx.serverName,
    ctx.signingKey,
  )
  if (!read.ok)
    throw read.tooLarge ? tooLarge(read.problem) : invalidParam(`The room cannot be created: ${read.problem}`)
  return read.event
}

/** For tests and readers of the state: the events of a head as plain state. */
export function stateEvents(head: RoomHead): StateMap<Event> {
  return new StateMap([...head.state].map(([type, stateKey, stored]) => [type, stateKey, stored.event]))
}
