import { lifetimeDays } from '../lifetimes.ts'
import { byUserNumber, type Inventory, logPosition, personal, plain, roomNumber, userNumber } from './entry.ts'

type RoomTables =
  | 'rooms'
  | 'event_types'
  | 'state_keys'
  | 'events'
  | 'superseded_state'
  | 'retention_overrides'
  | 'state_snapshots'
  | 'current_state'
  | 'state_changes'
  | 'memberships'
  | 'event_relations'
  | 'transactions'
  | 'receipts'
  | 'room_aliases'

const typeNumber = plain('The number that stands for the type.')
const stateKeyNumber = personal('The number that stands for the state key, often a user’s.')
const eventNumber = plain('The number that stands for the event.')

/** Rooms, what was said in them, and who is there. */
export const roomTables: Inventory<RoomTables> = {
  rooms: {
    purpose: 'The rooms that this server takes part in, and where each of them stands.',
    whose: 'room',
    lifetime: 'room',
    columns: {
      room_number: roomNumber,
      room_id: plain('The room ID.'),
      version: plain('The rules that the room goes by.'),
      head_version: plain('Counts its changes, so that two writers cannot build on the same state of things.'),
      snapshot_number: plain('Its state.'),
      forward_extremities: plain('What the next event is built on.'),
      depth: plain('How long it is.'),
      oldest_position: plain('Where older history will be put.'),
      is_public: plain('Whether the directory lists it.'),
    },
  },
  event_types: {
    purpose: 'The numbers that stand for types of events.',
    whose: 'nobody',
    lifetime: 'server',
    columns: {
      type_number: typeNumber,
      type: plain('The type.'),
    },
  },
  state_keys: {
    purpose: 'The numbers that stand for state keys, user IDs among them.',
    whose: 'user',
    lifetime: 'server',
    ways: [{ name: 'state_key' }],
    erasure: { kept: 'Your user ID is the key of your membership in each room that you were in.' },
    columns: {
      state_key_number: stateKeyNumber,
      state_key: personal('The state key.'),
    },
  },
  events: {
    purpose: 'What was said and done in rooms; what sets a room’s state lives as long as the room.',
    whose: 'user',
    lifetime: 'event',
    ways: [{ number: 'sender_number' }, { refers: 'state_key_number', to: 'state_keys', by: 'state_key_number' }],
    erasure: 'pruned',
    columns: {
      event_number: eventNumber,
      room_number: roomNumber,
      position: logPosition,
      event_id: personal('The event ID.'),
      type_number: typeNumber,
      state_key_number: stateKeyNumber,
      sender_number: personal('The user who sent it.'),
      flags: plain('Whether it was refused or redacted.'),
      depth: plain('How far from the room’s beginning it is.'),
      origin_server_ts: personal('When it was sent, by the sender’s server.'),
      age_ts: personal('When it was sent or came, whichever was earlier: what its lifetime counts from.'),
      self_destruct_ts: personal('When its sender wants it gone, where they say so.'),
      snapshot_number: plain('The room’s state after it.'),
      redacted_by: plain('The event that redacted it.'),
      body: personal('The event itself, sealed.'),
      seal_bucket: plain('The hour in which the key of the body dies.'),
      pruned: personal('What a redaction would leave of an event that sets the room’s state, sealed.'),
    },
  },
  superseded_state: {
    purpose: 'State events that others have taken the place of and that are still kept whole.',
    whose: 'room',
    lifetime: 'event',
    columns: {
      event_number: eventNumber,
      room_number: roomNumber,
      age_ts: plain('What its lifetime counts from.'),
    },
  },
  retention_overrides: {
    purpose: 'How long messages live in rooms for which an administrator has decided it.',
    whose: 'room',
    lifetime: 'room',
    columns: {
      room_number: roomNumber,
      max_lifetime: plain('How long they live.'),
      min_lifetime: plain('How long they live at least.'),
    },
  },
  state_snapshots: {
    purpose: 'The states that a room has been in, as sets of events, while an event refers to them.',
    whose: 'room',
    lifetime: 'room',
    columns: {
      snapshot_number: plain('The number that stands for the state.'),
      room_number: roomNumber,
      base_number: plain('The state that this one is told as a difference to.'),
      added: plain('The events that it has beside those.'),
      removed: plain('The events that it has not.'),
    },
  },
  current_state: {
    purpose: 'The events that make up a room’s present state.',
    whose: 'room',
    lifetime: 'room',
    columns: {
      room_number: roomNumber,
      type_number: typeNumber,
      state_key_number: stateKeyNumber,
      event_number: eventNumber,
    },
  },
  state_changes: {
    purpose: 'How a room’s state came to be, so that it is known who could see what.',
    whose: 'room',
    lifetime: 'room',
    columns: {
      room_number: roomNumber,
      position: logPosition,
      type_number: typeNumber,
      state_key_number: stateKeyNumber,
      event_number: eventNumber,
    },
  },
  memberships: {
    purpose: 'Who is in a room, was, or is invited.',
    whose: 'user',
    lifetime: 'room',
    ways: byUserNumber,
    erasure: { kept: 'That you were in a room and left it: it says who was there when, without a name or a picture.' },
    columns: {
      room_number: roomNumber,
      user_number: userNumber,
      membership: personal('Joined, invited, knocking, gone or banned.'),
      event_number: eventNumber,
      position: logPosition,
      is_forgotten: personal('Whether the user wants to hear no more of it.'),
    },
  },
  event_relations: {
    purpose: 'Which events are reactions, edits, replies in threads of which others.',
    whose: 'room',
    lifetime: 'event',
    ways: [{ refers: 'child_number', to: 'events', by: 'event_number' }],
    erasure: 'deleted',
    deactivation: { kept: 'It belongs to messages that stay.' },
    columns: {
      parent_id: personal('The event that is reacted to.'),
      child_number: eventNumber,
      room_number: roomNumber,
      rel_type: plain('How they are related.'),
    },
  },
  transactions: {
    purpose:
      'Requests that clients may repeat, and one-time keys that they may upload again, so that nothing happens twice.',
    whose: 'user',
    lifetime: { days: lifetimeDays.transactions },
    ways: [{ refers: 'event_number', to: 'events', by: 'event_number' }],
    erasure: 'deleted',
    deactivation: { kept: 'It belongs to messages that stay, and goes within days.' },
    columns: {
      request_hash: personal('Who asked for what, or whose key was given out, hashed.'),
      event_number: eventNumber,
      device_id: personal('The device that sent it, which is told the transaction ID again.'),
      transaction_id: personal('What the client called the request.'),
      sent_on: personal('The day of the request.'),
    },
  },
  receipts: {
    purpose: 'How far users have read.',
    whose: 'user',
    lifetime: 'event',
    ways: byUserNumber,
    erasure: 'deleted',
    deactivation: { kept: 'It belongs to rooms whose messages stay.' },
    columns: {
      room_number: roomNumber,
      user_number: userNumber,
      receipt_type: personal('Whether others are told.'),
      thread_id: personal('The thread that it is about.'),
      event_number: personal('The event up to which they have read.'),
      read_ts: personal('When they did.'),
      position: logPosition,
    },
  },
  room_aliases: {
    purpose: 'The names by which rooms are found.',
    whose: 'room',
    lifetime: 'until removed',
    ways: [{ number: 'creator_number' }],
    erasure: { kept: 'The addresses that you gave to rooms are the rooms’.' },
    columns: {
      alias: plain('The name.'),
      room_number: roomNumber,
      creator_number: personal('The user who gave it, and may take it away.'),
    },
  },
}
