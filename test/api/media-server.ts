import { readdir } from 'node:fs/promises'
import { type MediaId, parseMxcUri } from '../../src/protocol/media-id.ts'
import { type Exchange, type ExchangeRequest } from '../harness/exchange.ts'
import { type Caller, path, RefusedError, text } from '../harness/people.ts'
import { type TestServer } from '../harness/server.ts'

/** Uploads and returns the media's ID. */
export async function uploadAs(
  caller: Caller,
  body: ExchangeRequest['body'],
  contentType?: string,
  filename?: string,
): Promise<MediaId> {
  const headers = contentType === undefined ? {} : { 'Content-Type': contentType }
  const done = await caller.request('POST', '/_matrix/media/v3/upload', body, { headers, query: { filename } })
  if (done.status !== 200) throw new RefusedError(done)
  return idIn(text(done.json as { [key: string]: string }, 'content_uri')) // An answer of 200 is an object.
}

/** An ID that waits for its content. */
export async function createAs(caller: Caller): Promise<MediaId> {
  return idIn(text(await caller.expect('POST', '/_matrix/media/v1/create', {}), 'content_uri'))
}

function idIn(uri: string): MediaId {
  const parsed = parseMxcUri(uri)
  if (parsed?.serverName !== 'lethe.test') throw new Error('not a URI of this server')
  return parsed.mediaId
}

export function fillAs(caller: Caller, mediaId: string, body?: ExchangeRequest['body']): Promise<Exchange> {
  return caller.request('PUT', path`/_matrix/media/v3/upload/lethe.test/${mediaId}`, body)
}

export function downloadAs(caller: Caller, mediaId: string, timeoutMs?: number): Promise<Exchange> {
  const query = { timeout_ms: timeoutMs }
  return caller.request('GET', path`/_matrix/client/v1/media/download/lethe.test/${mediaId}`, undefined, { query })
}

export function thumbnailAs(
  caller: Caller,
  mediaId: string,
  query: Record<string, string | number | boolean>,
): Promise<Exchange> {
  return caller.request('GET', path`/_matrix/client/v1/media/thumbnail/lethe.test/${mediaId}`, undefined, { query })
}

/** `[status, errcode]` of a refusal. */
export function codeOf(done: Exchange): [number, unknown] {
  return [done.status, (done.json as { errcode?: unknown } | undefined)?.errcode] // Every refusal is an object.
}

/** How many files there are, and how many rows that refer to files or note them. */
export async function inventoryOf(server: TestServer): Promise<{ files: number; rows: number; notes: number }> {
  const all = await readdir(server.config.media.store.path, { recursive: true, withFileTypes: true }).catch(() => [])
  const { rows } = await server.ctx.db.pool.query<{ rows: number; notes: number }>(
    `SELECT (SELECT count(*) FROM media WHERE file_name IS NOT NULL) + (SELECT count(*) FROM media_thumbnails) AS rows,
            (SELECT count(*) FROM unreferenced_files) AS notes`,
  )
  const [counts] = rows
  if (!counts) throw new Error('a count has a row')
  return { files: all.filter(each => each.isFile()).length, ...counts }
}

/** Looks until the store is at rest: what a broken upload leaves behind goes when the server notices. */
export async function inventoryAtRest(server: TestServer) {
  for (;;) {
    const found = await inventoryOf(server)
    if (found.notes === 0 && found.files === found.rows) return found
  }
}
