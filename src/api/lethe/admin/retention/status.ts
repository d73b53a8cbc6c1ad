import { endpoint } from '../../../../http/endpoint.ts'
import { type DueCounts, dueSoon } from '../../../../retention/due.ts'
import { sweepStatus } from '../../../../retention/status.ts'
import { countDeadSeals } from '../../../../storage/keyring-row.ts'

const answer = ({ now, withinHour, withinDay }: DueCounts) => ({ now, within_hour: withinHour, within_day: withinDay })

/**
 * What the sweeper did last and when, and how much is forgotten now, within an hour and within a day: numbers, and nothing of
 * what it says. `keys_to_destroy`: of texts that are gone from the tables, until the next sweep.
 */
export const getRetentionStatus = endpoint({
  method: 'GET',
  path: '/_lethe/admin/v1/retention/status',
  auth: 'admin',
  limit: 'heavy',
  handle: async ctx => {
    const [last, due, keys] = await Promise.all([sweepStatus(ctx), dueSoon(ctx), countDeadSeals(ctx.db.kysely)])
    return {
      sweep: {
        started_ts: last.startedTs,
        ended_ts: last.endedTs,
        duration_ms: last.durationMs,
        deleted: last.deleted,
      },
      due: {
        by_lifetime: answer(due.byLifetime),
        by_timer: answer(due.byTimer),
        oldest_ts: last.oldestDueTs,
        rooms: due.rooms.map(({ roomId, ...counts }) => ({ room_id: roomId, ...answer(counts) })),
      },
      keys_to_destroy: keys,
    }
  },
})
