import { lifetimeDays } from '../lifetimes.ts'
import { expiresTs, type Inventory, logPosition, personal, plain, roomNumber } from './entry.ts'

type ServerTable =
  | 'dead_seals'
  | 'doctor_probes'
  | 'server'
  | 'schema_migrations'
  | 'log_head'
  | 'log_epochs'
  | 'log'
  | 'log_days'
  | 'sweeps'

/** What the server keeps of itself: its name, its log, its schema. */
export const serverTables: Inventory<ServerTable> = {
  server: {
    purpose: 'The one row that says whose database this is.',
    whose: 'server',
    lifetime: 'server',
    columns: {
      only_row: plain('Keeps the table to one row.'),
      server_name: plain('The name in the identifiers of its users and rooms.'),
      created_on: plain('The day of the first start.'),
      keyring_id: plain('Names the keyring that opens what is sealed.'),
      keyring_serial: plain('How often that was written, so that an older copy of it is known for one.'),
      next_chunk: plain('How far its keys are handed out.'),
      is_set_back: plain(
        'That a backup was put in place of the database, and what has been forgotten since must go again.',
      ),
      keyring_intent: plain(
        'A checksum of what the keyring is just being written as, so that a crash then is known for one.',
      ),
      keyring_generation: plain('How often its keys were rotated.'),
    },
  },
  dead_seals: {
    purpose: 'Which keys are to be destroyed: of what was deleted, redacted or replaced.',
    whose: 'nobody',
    lifetime: 'until used',
    columns: { seal: plain('Where the key stands in the keyring.') },
  },
  doctor_probes: {
    purpose: 'Lets the operator’s "lethe doctor" test the way to the server, for some minutes.',
    whose: 'nobody',
    lifetime: 'until it expires',
    columns: {
      secret_hash: plain('The hash of what the doctor proves itself with.'),
      expires_ts: expiresTs,
    },
  },
  schema_migrations: {
    purpose: 'The changes of the schema that were applied.',
    whose: 'nobody',
    lifetime: 'server',
    columns: {
      name: plain('The file of the change.'),
      checksum: plain('Shows that the file has not been changed since.'),
      applied_on: plain('The day when it was applied.'),
    },
  },
  log_head: {
    purpose: 'The newest position of the log.',
    whose: 'nobody',
    lifetime: 'server',
    columns: {
      only_row: plain('Keeps the table to one row.'),
      position: plain('The newest position.'),
    },
  },
  log_epochs: {
    purpose:
      'The starts of the server, by which tokens that a restore has made meaningless are known; the last thousand.',
    whose: 'nobody',
    lifetime: 'server',
    columns: {
      epoch_number: plain('Their order.'),
      epoch: plain('The name that tokens carry.'),
      begins_at: plain('Where the log stood: how far tokens of the epoch before may reach.'),
      lineage: plain('The cluster, timeline and table that the log was in then.'),
    },
  },
  log: {
    purpose: 'What kind of thing happened at each position; entries of events live as long as their event.',
    whose: 'user',
    lifetime: { days: lifetimeDays.log },
    ways: [{ number: 'user_number' }, { refers: 'reference', to: 'events', by: 'event_number' }],
    erasure: { kept: 'A number that stands for you, beside what your other devices were told; it goes within days.' },
    columns: {
      position: logPosition,
      kind: plain('What happened: an event, a receipt, new account data and so on.'),
      room_number: roomNumber,
      user_number: personal('The user whom it concerns, where it is not an event.'),
      reference: plain('The number of the event.'),
    },
  },
  log_days: {
    purpose: 'Where the log stood on each of the last days, so that its entries have an age.',
    whose: 'nobody',
    lifetime: { days: lifetimeDays.log_days },
    columns: {
      day: plain('The day.'),
      position: plain('The newest position when the sweeper first ran on that day.'),
    },
  },
  sweeps: {
    purpose: 'What the sweeper did last, so that operators see that it works.',
    whose: 'nobody',
    lifetime: 'until replaced',
    columns: {
      only_row: plain('Keeps the table to one row.'),
      started_ts: plain('When it last began.'),
      ended_ts: plain('When it last came to its end.'),
      duration_ms: plain('How long that took.'),
      deleted: plain('How many things of each kind that deleted.'),
    },
  },
}
