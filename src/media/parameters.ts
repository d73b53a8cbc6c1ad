import { invalidParam, missingParam } from '../errors.ts'
import { type Decoder } from '../http/decoders.ts'
import { type MediaId, parseMediaId } from '../protocol/media-id.ts'

/** A name of a file may be longer than an identifier; with every byte escaped it still fits into a header. */
const fileNameLimitBytes = 1_024

export const mediaId: Decoder<MediaId> = {
  decode: ([text], name) => {
    if (text === undefined) throw missingParam(name)
    const parsed = parseMediaId(text)
    if (parsed === null) throw invalidParam(`${name} is not valid`)
    return parsed
  },
}

/** The name of a file, any text of at most 1,024 bytes, without control characters; `null` when nothing is left. */
export const fileName: Decoder<string | null> = {
  decode: ([text], name) => {
    if (text === undefined) throw missingParam(name)
    if (Buffer.byteLength(text) > fileNameLimitBytes || !text.isWellFormed()) throw invalidParam(`${name} is not valid`)
    return text.replace(/\p{Cc}/gu, '') || null
  },
}
