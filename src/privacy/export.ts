import { Readable } from 'node:stream'
import { ZipFile } from 'yazl'
import { type Context } from '../context.ts'
import { MatrixError } from '../errors.ts'
import { openFile } from '../media/download.ts'
import { type MediaId } from '../protocol/media-id.ts'
import { mediaIdsOf, mediaOf } from '../storage/media.ts'
import { type Owner } from '../storage/own-rows.ts'
import { pageOfRows, reportedTables, reportJson, reportOn, type TableName } from './report.ts'

/** How many rows are in memory at a time. */
const pageSize = 200

const readme = `What this server keeps of you.

report.json        what there is, what it is for, how long it is kept, and the first rows of each kind
data/<kind>.ndjson every row of each kind, one JSON object a line
media/             the files that you uploaded, under the names in data/media.ndjson

Messages of encrypted rooms are here as the server has them: encrypted. Only your devices can read them; their keys are
exported from your client. Numbers that stand for users, rooms, types of events and state keys are replaced by those.
`

/**
 * A ZIP of everything that this server keeps of a user, as a stream: nothing of it is made before it is read, and no more than
 * a page of rows or a piece of a file is in memory at a time. A stream that fails midway is destroyed, so that what has
 * arrived does not look whole.
 */
export async function exportOf(ctx: Context, owner: Owner): Promise<Readable> {
  const report = reportJson(await reportOn(ctx, owner))
  const zip = new ZipFile()
  const output = new Readable().wrap(zip.outputStream)
  zip.on('error', (error: Error) => output.destroy(error))
  // One entry is read at a time; when the reader goes away, so does what is being read.
  let reading: Readable | null = null
  output.once('close', () => reading?.destroy())
  const mtime = new Date(ctx.clock.now())
  zip.addBuffer(Buffer.from(readme), 'README.txt', { mtime })
  zip.addBuffer(Buffer.from(JSON.stringify(report, null, 2)), 'report.json', { mtime })
  const add = (name: string, open: () => Promise<Readable>, compress: boolean) =>
    zip.addReadStreamLazy(name, { mtime, compress }, callback => {
      open().then(
        stream => {
          reading = stream
          if (output.destroyed) stream.destroy()
          callback(null, stream)
        },
        // The library's type says that a stream comes with an error too; it looks at the error first.
        (error: unknown) => callback(error, Readable.from([])),
      )
    })
  for (const [table] of reportedTables()) {
    add(`data/${table}.ndjson`, () => Promise.resolve(Readable.from(lines(ctx, owner, table))), true)
  }
  for (const mediaId of await mediaIdsOf(ctx.db.kysely, owner.userNumber)) {
    add(`media/${mediaId}`, () => mediaBytes(ctx, mediaId), false)
  }
  zip.end()
  return output
}

/** Every row of a table that is the user's, a line of JSON each; a page becomes one piece. */
async function* lines(ctx: Context, owner: Owner, table: TableName): AsyncGenerator<Buffer> {
  let after: readonly string[] | null = null
  do {
    const page: Awaited<ReturnType<typeof pageOfRows>> = await pageOfRows(ctx, owner, table, after, pageSize)
    if (page.rows.length > 0) yield Buffer.from(page.rows.map(row => `${JSON.stringify(row)}\n`).join(''))
    after = page.last
  } while (after !== null)
}

/** The bytes of an upload; none if it has been deleted since the export began. */
async function mediaBytes(ctx: Context, mediaId: MediaId): Promise<Readable> {
  const media = await mediaOf(ctx.db.kysely, ctx.numbers.sealer, mediaId)
  if (!media?.file) return Readable.from([])
  try {
    return (await openFile(ctx, media.file, null)).stream
  } catch (error) {
    if (error instanceof MatrixError) return Readable.from([])
    throw error
  }
}
