import {
  byUserNumber, deviceId, expiresTs, type Inventory, logPosition, personal, plain, secret, userNumber,
} from './entry.ts' // prettier-ignore

type AccountTables =
  | 'users'
  | 'accounts'
  | 'devices'
  | 'access_tokens'
  | 'refresh_tokens'
  | 'login_tokens'
  | 'recovery_codes'
  | 'registration_tokens'
  | 'join_links'
  | 'interactive_auth_sessions'
  | 'page_sessions'
  | 'erasures'
  | 'profiles'
  | 'filters'
  | 'account_data'

/** People, their devices and sessions, and what they keep here. */
export const accountTables: Inventory<AccountTables> = {
  users: {
    purpose: 'The numbers that stand for users, local ones and others, wherever they are mentioned.',
    whose: 'user',
    lifetime: 'server',
    ways: byUserNumber,
    erasure: {
      kept: 'Your user ID is part of the events that rooms are built on, and is never given to anybody else.',
    },
    columns: {
      user_number: userNumber,
      user_id: personal('The user ID.'),
      is_local: plain('Whether the user belongs to this server.'),
    },
  },
  accounts: {
    purpose: 'The accounts of this server, deactivated ones too, so that nobody takes their names.',
    whose: 'user',
    lifetime: 'server',
    ways: byUserNumber,
    erasure: {
      kept: 'That the account was there, so that nobody can take its name; without password, name or devices.',
    },
    columns: {
      user_number: userNumber,
      password_hash: secret('Lets the password be checked without being known.'),
      is_admin: personal('Whether they administer the server.'),
      is_guest: personal('Whether it is a guest account.'),
      is_locked: personal('Whether an administrator has locked it.'),
      is_suspended: personal('Whether an administrator has suspended it.'),
      is_deactivated: personal('Whether it has been given up.'),
      is_erased: personal('Whether its owner wanted everything erased.'),
      created_on: personal('The day when it was made.'),
    },
  },
  devices: {
    purpose: 'The devices that are signed in.',
    whose: 'user',
    lifetime: 'device',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      user_number: userNumber,
      device_id: deviceId,
      display_name: personal('What the user or the client calls it.'),
      last_seen_on: personal('The day when it was last used, so that forgotten ones can be found.'),
    },
  },
  access_tokens: {
    purpose: 'What requests are recognised by.',
    whose: 'user',
    lifetime: 'device',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      token_hash: secret('The SHA-256 of the token.'),
      user_number: userNumber,
      device_id: deviceId,
      expires_ts: expiresTs,
      refresh_hash: secret('The SHA-256 of the refresh token that came with it.'),
    },
  },
  refresh_tokens: {
    purpose: 'The sessions whose tokens change, with what gets them the next.',
    whose: 'user',
    lifetime: 'until it expires',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      family_hash: secret('What all refresh tokens of the session have in common, hashed.'),
      user_number: userNumber,
      device_id: deviceId,
      current_hash: secret('The SHA-256 of the token that is good.'),
      previous_hash: secret('The SHA-256 of the one before, until it is known that the answer arrived.'),
      expires_ts: expiresTs,
    },
  },
  login_tokens: {
    purpose: 'Tokens for one login, as one device makes them for another.',
    whose: 'user',
    lifetime: 'until it expires',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      token_hash: secret('The SHA-256 of the token.'),
      user_number: userNumber,
      expires_ts: expiresTs,
    },
  },
  recovery_codes: {
    purpose: 'What lets somebody set a new password who has lost theirs.',
    whose: 'user',
    lifetime: 'until replaced',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      user_number: userNumber,
      code_hash: secret('The SHA-256 of the code.'),
    },
  },
  registration_tokens: {
    purpose: 'What administrators hand out to those who may register.',
    whose: 'server',
    lifetime: 'until removed',
    columns: {
      // Not hashed: lists show administrators their tokens, which they hand out again and again. It opens no account and stands for
      // nobody, and is worth no more than `uses_allowed` says.
      token: plain('The token, readable, so that administrators can look it up and hand it out again.'),
      uses_allowed: plain('How often it may be used.'),
      completed: plain('How often it was.'),
      expires_ts: expiresTs,
    },
  },
  join_links: {
    purpose: 'Links to the page where an account is made.',
    whose: 'server',
    lifetime: 'until it expires',
    columns: {
      token_hash: plain('The SHA-256 of what is in the link.'),
      is_admin: plain('Whether it makes an administrator.'),
      uses_allowed: plain('How often it may be used.'),
      uses: plain('How often it was.'),
      expires_ts: expiresTs,
    },
  },
  interactive_auth_sessions: {
    purpose: 'Requests that wait for their user to prove who they are.',
    whose: 'user',
    lifetime: 'until it expires',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      session_hash: secret('The SHA-256 of the session’s name.'),
      operation: plain('What is to be done.'),
      user_number: userNumber,
      body_hash: secret('Shows that the request is still the same.'),
      completed: plain('The stages that are done.'),
      token: plain('The registration token that it holds a use of.'),
      expires_ts: expiresTs,
    },
  },
  page_sessions: {
    purpose: 'Sign-ins to the pages for people, each for an hour.',
    whose: 'user',
    lifetime: 'until it expires',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      token_hash: secret('The SHA-256 of what the browser’s cookie holds.'),
      user_number: userNumber,
      expires_ts: expiresTs,
    },
  },
  erasures: {
    purpose: 'Accounts that are being erased, and the receipts of those that are, until they are fetched.',
    whose: 'user',
    lifetime: 'until it expires',
    ways: byUserNumber,
    erasure: { kept: 'The receipt, until you have fetched it or it expires.' },
    columns: {
      user_number: userNumber,
      receipt_hash: secret('The SHA-256 of what the receipt is fetched with.'),
      asked_on: personal('The day when it was asked for.'),
      finished_on: personal('The day when it was done.'),
      room_number: plain('The last room that the work has been through.'),
      position: plain('How far it has come in the next.'),
      counts: personal('How many rows of which table were erased, pruned and kept.'),
      expires_ts: expiresTs,
    },
  },
  profiles: {
    purpose: 'What users say of themselves to everybody.',
    whose: 'user',
    lifetime: 'account',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      user_number: userNumber,
      key: personal('The name of the field.'),
      value: personal('What it says, sealed.'),
    },
  },
  filters: {
    purpose: 'What parts of the answers a client wants.',
    whose: 'user',
    lifetime: 'account',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      user_number: userNumber,
      filter_number: plain('What the client asks for it by.'),
      body: personal('The filter, sealed.'),
    },
  },
  account_data: {
    purpose: 'What a user’s clients keep here, tags, push rules and read markers among it.',
    whose: 'user',
    lifetime: 'account',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      user_number: userNumber,
      room_number: personal('The room that it is about.'),
      type: personal('What kind of thing it is.'),
      content: personal('The thing, sealed.'),
      position: logPosition,
      event_number: personal('The event that a read marker stands on.'),
    },
  },
}
