import { sql } from 'kysely'
import { parseJson } from '../protocol/json-reader.ts'
import { isJsonObject, type JsonObject } from '../protocol/json.ts'
import { type Reader, type Tx } from './database.ts'

export type JobStatus = 'scheduled' | 'active' | 'complete' | 'failed'

/** Work that an administrator has ordered. */
export interface Job {
  readonly jobId: string
  readonly kind: string
  readonly status: JobStatus
  /** Who ordered it; `null`: the operator, at the command line. */
  readonly userNumber: number | null
  /** The room ID or user ID that it is about. */
  readonly target: string
  readonly request: JsonObject
  readonly progress: JsonObject
  /** Why it failed; `null` for every other status. */
  readonly failure: string | null
  /** Milliseconds since the epoch. */
  readonly createdTs: number
}

const columns = ['job_id', 'kind', 'status', 'user_number', 'target', 'request', 'progress', 'failure', 'created_ts'] as const // prettier-ignore

interface JobRow {
  job_id: string
  kind: string
  status: string
  user_number: number | null
  target: string
  request: string
  progress: string
  failure: string | null
  created_ts: number
}

function jobOfRow(row: JobRow): Job {
  return {
    jobId: row.job_id,
    kind: row.kind,
    // The column's check lets nothing else in.
    status: row.status as JobStatus,
    userNumber: row.user_number,
    target: row.target,
    request: objectOf(row.request),
    progress: objectOf(row.progress),
    failure: row.failure,
    createdTs: row.created_ts,
  }
}

function objectOf(text: string): JsonObject {
  const read = parseJson(text)
  return read.ok && isJsonObject(read.value) ? read.value : {}
}

/** Orders work. */
export async function insertJob(
  tx: Tx,
  job: Pick<Job, 'jobId' | 'kind' | 'userNumber' | 'target' | 'request' | 'createdTs'>,
): Promise<void> {
  await tx
    .insertInto('background_jobs')
    .values({
      job_id: job.jobId,
      kind: job.kind,
      user_number: job.userNumber,
      target: job.target,
      request: JSON.stringify(job.request),
      created_ts: job.createdTs,
    })
    .execute()
}

/** The job of one of these kinds with this ID, or `null`. */
export async function jobOf(reader: Reader, jobId: string, kinds: readonly string[]): Promise<Job | null> {
  const row = await reader
    .selectFrom('background_jobs')
    .select(columns)
    .where('job_id', '=', jobId)
    .where('kind', 'in', kinds)
    .executeTakeFirst()
  return row ? jobOfRow(row) : null
}

/** The jobs of a kind about a room or user, the oldest first. */
export async function jobsAbout(reader: Reader, kind: string, target: string): Promise<Job[]> {
  const rows = await reader
    .selectFrom('background_jobs')
    .select(columns)
    .where('target', '=', target)
    .where('kind', '=', kind)
    .orderBy('created_ts')
    .orderBy('job_id')
    .execute()
  return rows.map(jobOfRow)
}

/** Jobs of every kind, the newest first; those of one status, of one target, if that is asked for. */
export async function jobs(
  reader: Reader,
  wanted: { readonly status: JobStatus | null; readonly target: string | null; readonly limit: number },
): Promise<Job[]> {
  const rows = await reader
    .selectFrom('background_jobs')
    .select(columns)
    .$if(wanted.status !== null, query => query.where('status', '=', wanted.status ?? ''))
    .$if(wanted.target !== null, query => query.where('target', '=', wanted.target ?? ''))
    .orderBy('created_ts', 'desc')
    .orderBy('job_id')
    .limit(wanted.limit)
    .execute()
  return rows.map(jobOfRow)
}

/** The oldest job that has not ended; `null` when there is none. */
export async function nextJob(reader: Reader): Promise<Job | null> {
  const row = await reader
    .selectFrom('background_jobs')
    .select(columns)
    .where('ended_ts', 'is', null)
    .orderBy('created_ts')
    .orderBy('job_id')
    .limit(1)
    .executeTakeFirst()
  return row ? jobOfRow(row) : null
}

/** Notes how far a job has come. */
export async function noteProgress(tx: Tx, jobId: string, progress: JsonObject): Promise<void> {
  await tx
    .updateTable('background_jobs')
    .set({ status: 'active', progress: JSON.stringify(progress) })
    .where('job_id', '=', jobId)
    .execute()
}

/** Notes that a job has ended: done, or failed for a reason. */
export async function endJob(tx: Tx, jobId: string, endedTs: number, failure: string | null): Promise<void> {
  await tx
    .updateTable('background_jobs')
    .set({ status: failure === null ? 'complete' : 'failed', failure, ended_ts: endedTs })
    .where('job_id', '=', jobId)
    .execute()
}

/** Deletes at most `limit` jobs that have ended and were ordered before a time. Returns how many. */
export async function deleteOldJobs(tx: Tx, beforeTs: number, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`DELETE FROM background_jobs WHERE job_id IN (
    SELECT job_id FROM background_jobs WHERE created_ts < ${beforeTs} AND ended_ts IS NOT NULL LIMIT ${limit})`.execute(
    tx,
  )
  return Number(numAffectedRows ?? 0)
}
