import { lifetimeDays } from '../lifetimes.ts'
import { byUserNumber, type Inventory, personal, plain, roomNumber, secret, userNumber } from './entry.ts'

/** What administrators do, and what is reported to them. */
export const administrationTables: Inventory<'admin_audit' | 'background_jobs' | 'blocked_rooms' | 'reports'> = {
  admin_audit: {
    purpose: 'Each use of an endpoint for administrators, so that what they do can be checked.',
    whose: 'user',
    lifetime: { days: lifetimeDays.admin_audit },
    ways: byUserNumber,
    erasure: { kept: 'What you did as an administrator, for ninety days, so that others can check it.' },
    columns: {
      use_number: plain('The order of the uses.'),
      user_number: userNumber,
      method: plain('The method of the request.'),
      endpoint: plain('The pattern of the path, without the values in it.'),
      target_hash: secret('A keyed hash of whom or what it was about: to be compared, not to be read.'),
      minute_ts: plain('When it was, to the minute.'),
    },
  },
  background_jobs: {
    purpose: 'Work that administrators ordered and that takes longer than a request, with how far it has come.',
    whose: 'server',
    lifetime: { days: lifetimeDays.background_jobs },
    ways: [{ number: 'user_number' }, { name: 'target' }],
    erasure: {
      kept: 'What you ordered as an administrator, or one ordered about you, for seven days, so that it comes to its end.',
    },
    columns: {
      job_id: plain('Its name in requests about it.'),
      kind: plain('What is being done.'),
      status: plain('Whether it is waiting, under way, done or failed.'),
      user_number: userNumber,
      target: personal('The room or the user that it is about.'),
      request: personal('What was ordered; sealed.'),
      progress: personal('How far it has come, and what it has come to; sealed.'),
      failure: plain('Why it failed.'),
      created_ts: plain('When it was ordered.'),
      ended_ts: plain('When it was done or failed.'),
    },
  },
  blocked_rooms: {
    purpose: 'Rooms that nobody here may enter.',
    whose: 'room',
    lifetime: 'until removed',
    ways: byUserNumber,
    erasure: { kept: 'That you blocked a room as an administrator, until another one lets it go.' },
    columns: {
      room_id: plain('The room ID.'),
      user_number: userNumber,
      is_passing: plain('Whether it is only while the room is being deleted.'),
    },
  },
  reports: {
    purpose:
      'Events, rooms and users that users of this server reported to its administrators. What others reported of you is not shown to you: it would tell by whom.',
    whose: 'user',
    lifetime: { days: lifetimeDays.reports },
    // To those who were reported it is not theirs: it would tell them by whom.
    ways: byUserNumber,
    erasure: 'deleted',
    deactivation: { kept: 'Administrators still have to see to them.' },
    columns: {
      report_number: plain('Its name in requests about it.'),
      user_number: userNumber,
      room_number: roomNumber,
      event_id: personal('The event that was reported, as long as it is there.'),
      reported_number: personal('The user who was reported, or who sent the event.'),
      reason: personal('What the reporter wrote; sealed.'),
      score: plain('How bad it is in the words of old clients, 0 to -100.'),
      received_ts: personal('When it was reported.'),
    },
  },
}
