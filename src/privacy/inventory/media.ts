import { byUserNumber, type Inventory, personal, plain } from './entry.ts'

const mediaId = personal('The name in its mxc address.')
const contentType = plain('What kind of file it is.')
const sizeBytes = plain('How large it is.')
const fileName = plain('Our own, random name of the file in the media store.')

/** Files that users uploaded. */
export const mediaTables: Inventory<'media' | 'media_references' | 'media_thumbnails' | 'unreferenced_files'> = {
  media: {
    purpose: 'Uploaded files; each goes with the last that shows it, one that nothing shows when its days are over.',
    whose: 'user',
    lifetime: 'account',
    ways: byUserNumber,
    erasure: 'deleted',
    deactivation: { kept: 'Messages that stay show them.' },
    columns: {
      media_id: mediaId,
      user_number: personal('The user who uploaded it, and whose account it goes with.'),
      file_name: fileName,
      content_type: contentType,
      upload_name: personal('What the uploader’s client called it; sealed.'),
      size_bytes: sizeBytes,
      sha256: personal('The SHA-256 of the file as it lies on the disk, sealed.'),
      created_ts: personal('When it was uploaded or announced.'),
      expires_ts: plain('When an announced upload is void, or the past: nothing refers to it any more.'),
      is_quarantined: plain('Whether an administrator keeps everybody from seeing it.'),
      is_protected: plain('Whether it stays when much is put into quarantine at once.'),
      is_held: plain('Whether something refers to it, so that it lives as long as that.'),
    },
  },
  media_references: {
    purpose: 'Which messages and profiles show which files, so that a file goes with the last of them.',
    whose: 'user',
    lifetime: 'event',
    ways: [
      { number: 'user_number' },
      { refers: 'event_number', to: 'events', by: 'event_number' },
      { refers: 'media_id', to: 'media', by: 'media_id' },
    ],
    erasure: 'deleted',
    deactivation: { kept: 'Messages that stay show them.' },
    columns: {
      reference_number: plain('Counts the rows.'),
      media_id: mediaId,
      event_number: personal('The message that shows it.'),
      user_number: personal('The user whose profile shows it.'),
      profile_key: plain('The field of the profile.'),
    },
  },
  media_thumbnails: {
    purpose: 'Small pictures of uploaded ones.',
    whose: 'user',
    lifetime: 'account',
    ways: [{ refers: 'media_id', to: 'media', by: 'media_id' }],
    erasure: 'deleted',
    deactivation: { kept: 'Messages that stay show them.' },
    columns: {
      media_id: mediaId,
      width: plain('In pixels.'),
      height: plain('In pixels.'),
      method: plain('Whether it was cropped or scaled.'),
      is_animated: plain('Whether it moves.'),
      file_name: fileName,
      content_type: contentType,
      size_bytes: sizeBytes,
    },
  },
  unreferenced_files: {
    purpose: 'Files that are being written or removed, so that a crash leaves none behind.',
    whose: 'nobody',
    lifetime: 'until it expires',
    columns: {
      file_name: fileName,
      remove_ts: plain('What still stands here then is removed.'),
    },
  },
}
