import { type Readable } from 'node:stream'
import { MatrixError, tooLarge } from '../../errors.ts'

/** Bytes that a form may have. */
const formLimitBytes = 16 * 1024

/**
 * The fields of a form that a browser sent. Throws `M_UNKNOWN` for another type of body, `tooLarge`. Fields that are not
 * UTF-8 come with replacement characters, as browsers send none.
 */
export async function readForm(upload: {
  readonly stream: Readable
  readonly contentType: string | null
}): Promise<URLSearchParams> {
  const type = upload.contentType?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/x-www-form-urlencoded') throw new MatrixError('M_UNKNOWN', 'A form is expected')
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of upload.stream) {
    // A request's stream has no encoding set, so it gives buffers.
    const buffer = chunk as Buffer
    bytes += buffer.length
    if (bytes > formLimitBytes) throw tooLarge()
    chunks.push(buffer)
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'))
}
