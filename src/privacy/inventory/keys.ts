import { lifetimeDays } from '../lifetimes.ts'
import { byUserNumber, deviceId, type Inventory, logPosition, personal, plain, userNumber } from './entry.ts'

type KeyTables =
  | 'to_device_messages'
  | 'device_keys'
  | 'one_time_keys'
  | 'fallback_keys'
  | 'cross_signing_keys'
  | 'key_signatures'
  | 'device_list_changes'
  | 'key_backups'
  | 'backed_up_sessions'

const algorithm = plain('What the key is for.')
const keyId = personal('What the client calls the key.')
const publicKey = personal('The public key, with its signatures.')

/** What end-to-end encryption needs of the server. All keys are public ones, or encrypted by the client. */
export const keyTables: Inventory<KeyTables> = {
  to_device_messages: {
    purpose: 'Messages from device to device that wait to be fetched.',
    whose: 'user',
    lifetime: { days: lifetimeDays.to_device_messages },
    ways: [{ number: 'user_number' }, { number: 'sender_number' }],
    erasure: 'deleted',
    deactivation: { kept: 'Others wait for them: they hold the keys of messages that stay.' },
    columns: {
      position: logPosition,
      user_number: personal('The user whom it is for.'),
      device_id: personal('The device that it is for.'),
      sender_number: personal('The user who sent it.'),
      type: plain('What kind of message it is.'),
      content: personal('The message.'),
      sent_on: personal('The day when it was sent.'),
    },
  },
  device_keys: {
    purpose: 'By what others know a device.',
    whose: 'user',
    lifetime: 'device',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      user_number: userNumber,
      device_id: deviceId,
      keys: personal('Its public keys, signed by itself.'),
    },
  },
  one_time_keys: {
    purpose: 'Keys with which others begin to talk to a device, each good for once.',
    whose: 'user',
    lifetime: 'until used',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      user_number: userNumber,
      device_id: deviceId,
      algorithm,
      key_id: keyId,
      key_number: plain('The order in which they are handed out.'),
      key: publicKey,
    },
  },
  fallback_keys: {
    purpose: 'What is handed out when a device has no one-time keys left.',
    whose: 'user',
    lifetime: 'until replaced',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      user_number: userNumber,
      device_id: deviceId,
      algorithm,
      key_id: keyId,
      key: publicKey,
      is_used: plain('Whether it has been handed out, so that the device makes a new one.'),
    },
  },
  cross_signing_keys: {
    purpose: 'The keys by which a user vouches for devices and other users.',
    whose: 'user',
    lifetime: 'until replaced',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      user_number: userNumber,
      usage: plain('Which of the three it is.'),
      keys: publicKey,
    },
  },
  key_signatures: {
    purpose: 'Who has vouched for which key.',
    whose: 'user',
    lifetime: 'account',
    ways: [{ number: 'target_number' }, { number: 'signer_number' }],
    erasure: 'deleted',
    columns: {
      target_number: personal('The user whose key it is.'),
      target_key: personal('The key.'),
      signer_number: personal('The user who vouches for it.'),
      signer_key_id: personal('The key that signed.'),
      signature: personal('The signature.'),
    },
  },
  device_list_changes: {
    purpose: 'When a user’s devices or keys last changed, so that others ask for them again.',
    whose: 'user',
    lifetime: 'account',
    ways: byUserNumber,
    erasure: 'deleted',
    deactivation: { kept: 'Others are told by it that the devices are gone.' },
    columns: {
      user_number: userNumber,
      position: logPosition,
    },
  },
  key_backups: {
    purpose: 'The backups of the keys of encrypted messages, by version.',
    whose: 'user',
    lifetime: 'until removed',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      user_number: userNumber,
      version: plain('Which of the user’s backups it is.'),
      algorithm: plain('How the client encrypts it.'),
      auth_data: personal('The public key that it is encrypted for.'),
      etag: plain('Counts its changes.'),
      session_count: personal('How many keys are in it.'),
      is_deleted: plain('Whether it has been deleted and only its number is kept.'),
    },
  },
  backed_up_sessions: {
    purpose: 'The keys in the backups, encrypted by the client.',
    whose: 'user',
    lifetime: 'until removed',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      user_number: userNumber,
      version: plain('The backup that it is in.'),
      room_id: personal('The room whose messages it opens.'),
      session_id: personal('Which of the room’s keys it is.'),
      first_message_index: plain('From which message on it is good.'),
      forwarded_count: plain('How many hands it went through.'),
      is_verified: plain('Whether it came from a device that the user trusts.'),
      session_data: personal('The key, encrypted.'),
    },
  },
}
