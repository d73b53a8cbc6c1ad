import { type Readable } from 'node:stream'

/** Where media bytes lie, under names of our own making. */
export interface MediaStore {
  /**
   * Keeps a stream under `name`: whole or not at all, durable when the promise resolves. Throws `MatrixError` M_TOO_LARGE
   * when it is longer than `limitBytes`; a stream that breaks off leaves nothing.
   */
  write(name: string, stream: Readable, limitBytes: number): Promise<{ sizeBytes: number; sha256: Buffer }>
  /** The bytes, or `null` if there is no such file. */
  read(name: string): Promise<{ stream: Readable; sizeBytes: number } | null>
  /** Where the key of a file stands, as `dead_seals` holds it; `null` if there is no such file, or it is not sealed. */
  sealOf(name: string): Promise<Buffer | null>
  /** True if there was such a file. */
  remove(name: string): Promise<boolean>
}
