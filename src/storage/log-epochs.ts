import type pg from 'pg'
import { lockKeys } from './advisory-lock.ts'

/** How many epochs are remembered; a token of an older one starts its client afresh. */
const rememberedEpochs = 1_000

interface EpochRow {
  readonly epoch: string
  readonly begins_at: number
}

/**
 * The epochs that a database knows of, and so which positions were handed out in the history that it continues. Positions
 * that a restore took away were handed out in an epoch that it took away too, or lie beyond the end of their epoch.
 */
export class Epochs {
  readonly #ends = new Map<string, number>()
  /** The epoch of what happens now. */
  readonly current: string

  /** @param rows in order; at least one */
  constructor(rows: readonly EpochRow[]) {
    rows.forEach(({ epoch }, index) => this.#ends.set(epoch, rows[index + 1]?.begins_at ?? Infinity))
    this.current = rows.at(-1)?.epoch ?? ''
  }

  /** True if the position of that epoch is one of this history. */
  covers(epoch: string, position: number): boolean {
    return position <= (this.#ends.get(epoch) ?? -Infinity)
  }
}

/**
 * Joins the processes that are running on a database, for as long as the connection lives. The first of them begins a new
 * epoch: while nobody ran, the database may have been set back. So does one that finds another lineage than the last
 * epoch's. All others share the epoch that is on.
 */
export async function enterEpoch(client: pg.Client, lineage: string, newEpoch: string): Promise<Epochs> {
  await client.query('BEGIN')
  await client.query('SELECT pg_advisory_xact_lock($1)', [lockKeys.starting])
  const { rows: found } = await client.query<{ alone: boolean }>('SELECT pg_try_advisory_lock($1) AS alone', [
    lockKeys.running,
  ])
  const isAlone = found[0]?.alone === true
  await client.query('SELECT pg_advisory_lock_shared($1)', [lockKeys.running])
  const { rows: last } = await client.query<{ lineage: string }>(
    'SELECT lineage FROM log_epochs ORDER BY epoch_number DESC LIMIT 1',
  )
  if (isAlone || last[0]?.lineage !== lineage) {
    await client.query(
      'INSERT INTO log_epochs (epoch, begins_at, lineage) SELECT $1, position, $2 FROM log_head FOR UPDATE',
      [newEpoch, lineage],
    )
    await client.query(
      `DELETE FROM log_epochs WHERE epoch_number <=
         (SELECT epoch_number FROM log_epochs ORDER BY epoch_number DESC OFFSET $1 LIMIT 1)`,
      [rememberedEpochs],
    )
  }
  const epochs = await readEpochs(client)
  await client.query('COMMIT')
  // Only now: whoever joins again meanwhile is to read the epoch that has begun.
  if (isAlone) await client.query('SELECT pg_advisory_unlock($1)', [lockKeys.running])
  return epochs
}

/** The same for a process that was running all the while and has only lost its connection: it begins no epoch. */
export async function rejoinEpoch(client: pg.Client): Promise<Epochs> {
  await client.query('SELECT pg_advisory_lock_shared($1)', [lockKeys.running])
  return readEpochs(client)
}

async function readEpochs(client: pg.Client): Promise<Epochs> {
  const { rows } = await client.query<EpochRow>('SELECT epoch, begins_at FROM log_epochs ORDER BY epoch_number')
  return new Epochs(rows)
}
