import { type Database } from '../../src/storage/database.ts'

/** Rows that refer to what is not there, by where they stand. */
export async function orphans(db: Pick<Database, 'pool'>): Promise<Record<string, number>> {
  const { rows } = await db.pool.query<Record<string, number>>(`SELECT
    (SELECT count(*) FROM log l WHERE kind = 1 AND NOT EXISTS (SELECT FROM events e WHERE e.event_number = l.reference)) AS log,
    (SELECT count(*) FROM rooms r CROSS JOIN unnest(r.forward_extremities) AS x (number)
      WHERE NOT EXISTS (SELECT FROM events e WHERE e.event_number = x.number)) AS extremities,
    (SELECT count(*) FROM rooms r WHERE snapshot_number IS NOT NULL
      AND NOT EXISTS (SELECT FROM state_snapshots s WHERE s.snapshot_number = r.snapshot_number)) AS heads,
    (SELECT count(*) FROM events e WHERE snapshot_number IS NOT NULL
      AND NOT EXISTS (SELECT FROM state_snapshots s WHERE s.snapshot_number = e.snapshot_number)) AS events,
    (SELECT count(*) FROM state_snapshots s CROSS JOIN unnest(s.added || s.removed) AS x (number)
      WHERE NOT EXISTS (SELECT FROM events e WHERE e.event_number = x.number)) AS states,
    (SELECT count(*) FROM state_snapshots s WHERE NOT EXISTS (SELECT FROM events e WHERE e.snapshot_number = s.snapshot_number)
      AND NOT EXISTS (SELECT FROM rooms r WHERE r.snapshot_number = s.snapshot_number)
      AND NOT EXISTS (SELECT FROM state_snapshots d WHERE d.base_number = s.snapshot_number)) AS snapshots,
    (SELECT count(*) FROM events e WHERE redacted_by IS NOT NULL
      AND NOT EXISTS (SELECT FROM events x WHERE x.event_number = e.redacted_by)) AS redactions,
    (SELECT count(*) FROM account_data a WHERE type = 'm.fully_read'
      AND NOT EXISTS (SELECT FROM events e WHERE e.event_number = a.event_number)) AS markers`)
  return rows[0] ?? {}
}

/** What `orphans` returns when all is well. */
export const noOrphans = {
  log: 0, extremities: 0, heads: 0, events: 0, states: 0, snapshots: 0, redactions: 0, markers: 0,
} // prettier-ignore
