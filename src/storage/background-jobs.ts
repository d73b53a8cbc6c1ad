import { sql } from 'kysely'
import { type SealPlace } from '../privacy/keyring/keyring.ts'
import { kept, placeOf, type Sealer } from '../privacy/seal.ts'
import { parseJson } from '../protocol/json-reader.ts'
import { isJsonObject, type JsonObject } from '../protocol/json.ts'
import { type Reader, type Tx } from './database.ts'
import { sealOfSql } from './keyring-row.ts'

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
  /** Likewise; `null` while it has not ended. */
  readonly endedTs: number | null
  /** Where the key of what is sealed of it stands; `null` if nothing of it is sealed. */
  readonly place: SealPlace | null
}

/** What a job's request and progress are sealed under. */
export const jobSealName = (jobId: string, column: 'request' | 'progress'): string =>
  `background_jobs ${jobId} ${column}`

/** A place for all that is said of one job, of which each saying replaces the one before. */
export function placeForJob(sealer: Sealer): SealPlace {
  return sealer.placeFor(kept, 'background_jobs')
}

const columns = ['job_id', 'kind', 'status', 'user_number', 'target', 'request', 'progress', 'failure', 'created_ts', 'ended_ts'] as const // prettier-ignore

interface JobRow {
  job_id: string
  kind: string
  status: string
  user_number: number | null
  target: string
  request: Buffer
  progress: Buffer
  failure: string | null
  created_ts: number
  ended_ts: number | null
}

function jobOfRow(sealer: Sealer, row: JobRow): Job {
  return {
    jobId: row.job_id,
    kind: row.kind,
    // The column's check lets nothing else in.
    status: row.status as JobStatus,
    userNumber: row.user_number,
    target: row.target,
    request: objectOf(sealer.open(row.request, jobSealName(row.job_id, 'request'))),
    progress: objectOf(sealer.open(row.progress, jobSealName(row.job_id, 'progress'))),
    failure: row.failure,
    createdTs: row.created_ts,
    endedTs: row.ended_ts,
    place: placeOf(row.request) ?? placeOf(row.progress),
  }
}

function objectOf(text: string | null): JsonObject {
  const read = parseJson(text ?? '')
  return read.ok && isJsonObject(read.value) ? read.value : {}
}

/** Orders work. */
export async function insertJob(
  tx: Tx,
  sealer: Sealer,
  job: Pick<Job, 'jobId' | 'kind' | 'userNumber' | 'target' | 'request' | 'createdTs'>,
): Promise<void> {
  const place = placeForJob(sealer)
  const sealed = (column: 'request' | 'progress', value: JsonObject) =>
    sealer.seal(JSON.stringify(value), place, jobSealName(job.jobId, column))
  await tx
    .insertInto('background_jobs')
    .values({
      job_id: job.jobId,
      kind: job.kind,
      user_number: job.userNumber,
      target: job.target,
      request: sealed('request', job.request),
      progress: sealed('progress', {}),
      created_ts: job.createdTs,
    })
    .execute()
}

/** The job of one of these kinds with this ID, or `null`. */
export async function jobOf(
  reader: Reader,
  sealer: Sealer,
  jobId: string,
  kinds: readonly string[],
): Promise<Job | null> {
  const row = await reader
    .selectFrom('background_jobs')
    .select(columns)
    .where('job_id', '=', jobId)
    .where('kind', 'in', kinds)
    .executeTakeFirst()
  return row ? jobOfRow(sealer, row) : null
}

/** The jobs of a kind about a room or user, the oldest first. */
export async function jobsAbout(reader: Reader, sealer: Sealer, kind: string, target: string): Promise<Job[]> {
  const rows = await reader
    .selectFrom('background_jobs')
    .select(columns)
    .where('target', '=', target)
    .where('kind', '=', kind)
    .orderBy('created_ts')
    .orderBy('job_id')
    .execute()
  return rows.map(row => jobOfRow(sealer, row))
}

/** Which jobs. `null`: it does not matter. */
export interface JobsWanted {
  readonly kind: string | null
  readonly status: string | null
  readonly target: string | null
  /** Milliseconds since the epoch: those that ended (or, while they have not, were ordered) then or earlier. */
  readonly untilTs: number | null
  readonly limit: number
}

/** Jobs of every kind, the newest first. */
export async function jobs(reader: Reader, sealer: Sealer, wanted: JobsWanted): Promise<Job[]> {
  const rows = await reader
    .selectFrom('background_jobs')
    .select(columns)
    .$if(wanted.status !== null, query => query.where('status', '=', wanted.status ?? ''))
    .$if(wanted.target !== null, query => query.where('target', '=', wanted.target ?? ''))
    .$if(wanted.kind !== null, query => query.where('kind', '=', wanted.kind ?? ''))
    .$if(wanted.untilTs !== null, query =>
      query.where(sql<number>`COALESCE(ended_ts, created_ts)`, '<=', wanted.untilTs),
    )
    .orderBy('created_ts', 'desc')
    .orderBy('job_id')
    .limit(wanted.limit)
    .execute()
  return rows.map(row => jobOfRow(sealer, row))
}

/** The oldest job that has not ended and is none of `others`; `null` when there is none. */
export async function nextJob(reader: Reader, sealer: Sealer, others: readonly string[]): Promise<Job | null> {
  const row = await reader
    .selectFrom('background_jobs')
    .select(columns)
    .where('ended_ts', 'is', null)
    .$if(others.length > 0, query => query.where('job_id', 'not in', others))
    .orderBy('created_ts')
    .orderBy('job_id')
    .limit(1)
    .executeTakeFirst()
  return row ? jobOfRow(sealer, row) : null
}

/** Notes how far a job has come, sealed at its place under the newest keys: those of its request may be about to be destroyed. */
export async function noteProgress(
  tx: Tx,
  sealer: Sealer,
  { jobId }: Pick<Job, 'jobId'>,
  place: SealPlace,
  progress: JsonObject,
): Promise<void> {
  const sealed = sealer.seal(JSON.stringify(progress), sealer.renewed(place), jobSealName(jobId, 'progress'))
  await tx
    .updateTable('background_jobs')
    .set({ status: 'active', progress: sealed })
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

/** Deletes at most `limit` jobs that have ended and were ordered before a time; their keys are to be destroyed. Returns how many. */
export async function deleteOldJobs(tx: Tx, beforeTs: number, limit: number): Promise<number> {
  const { rows } = await sql<{ count: number }>`WITH old AS (DELETE FROM background_jobs WHERE job_id IN (
      SELECT job_id FROM background_jobs WHERE created_ts < ${beforeTs} AND ended_ts IS NOT NULL LIMIT ${limit})
      RETURNING request, progress),
    dead AS (INSERT INTO dead_seals SELECT seal FROM old
      CROSS JOIN LATERAL (SELECT unnest(ARRAY[${sql.raw(sealOfSql('old.request'))}, ${sql.raw(sealOfSql('old.progress'))}]) AS seal) s
      WHERE seal IS NOT NULL ON CONFLICT DO NOTHING)
    SELECT count(*) AS count FROM old`.execute(tx)
  return rows[0]?.count ?? 0
}
