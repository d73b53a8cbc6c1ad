import { byUserNumber, type Inventory, personal, plain } from './entry.ts'

const mediaId = personal('The name in its mxc address.')
const contentType = plain('What kind of file it is.')
const sizeBytes = plain('How large it is.')
const fileName = plain('Our own, random name of the file in the media store.')

/** Files that users uploaded. */
export const mediaTables: Inventory<'media' | 'media_thumbnails' | 'unreferenced_files'> = {
  media: {
    purpose: 'Uploaded files; an announced upload that never comes lives until it expires.',
    whose: 'user',
    lifetime: 'account',
    ways: byUserNumber,
    erasure: 'deleted',
    columns: {
      media_id: mediaId,
      user_number: personal('The user who uploaded it, and whose account it goes with.'),
      file_name: fileName,
      content_type: contentType,
      upload_name: personal('What the uploader’s client called it.'),
      size_bytes: sizeBytes,
      sha256: personal('The SHA-256 of the file.'),
      created_ts: personal('When it was uploaded or announced.'),
      expires_ts: plain('When an announced upload is void.'),
      is_quarantined: plain('Whether an administrator keeps everybody from seeing it.'),
      is_protected: plain('Whether it stays when much is put into quarantine at once.'),
    },
  },
  media_thumbnails: {
    purpose: 'Small pictures of uploaded ones.',
    whose: 'user',
    lifetime: 'account',
    ways: [{ refers: 'media_id', to: 'media', by: 'media_id' }],
    erasure: 'deleted',
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
