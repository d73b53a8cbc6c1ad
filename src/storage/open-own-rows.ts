import { type Sealer } from '../privacy/seal.ts'
import { accountDataName } from './account-data.ts'
import { jobSealName } from './background-jobs.ts'
import { deviceSealName } from './devices.ts'
import { filterSealName } from './filters.ts'
import { uploadSealName } from './media.ts'
import { type RowText } from './own-rows.ts'
import { profileSealName } from './profiles.ts'
import { reportSealName } from './reports.ts'
import { toDeviceName } from './to-device.ts'

type NameOf = (row: RowText) => string

const number = (row: RowText, column: string): number => Number(row[column] ?? 0)
const text = (row: RowText, column: string): string => row[column] ?? ''

/** What the sealed columns are sealed under, by `table.column`. A sealed column that is missing here fails a test. */
export const sealedColumns: Readonly<Record<string, NameOf>> = {
  'events.body': row => text(row, 'event_id'),
  'events.pruned': row => text(row, 'event_id'),
  'account_data.content': row =>
    accountDataName(number(row, 'user_number'), number(row, 'room_number'), text(row, 'type')),
  'profiles.value': row => profileSealName(number(row, 'user_number'), text(row, 'key')),
  'filters.body': row => filterSealName(number(row, 'user_number'), number(row, 'filter_number')),
  'devices.display_name': row => deviceSealName(number(row, 'user_number'), text(row, 'device_id')),
  'background_jobs.request': row => jobSealName(text(row, 'job_id'), 'request'),
  'background_jobs.progress': row => jobSealName(text(row, 'job_id'), 'progress'),
  'reports.reason': row => reportSealName(number(row, 'user_number'), number(row, 'received_ts')),
  'media.upload_name': row => uploadSealName(text(row, 'media_id')),
  'to_device_messages.content': row => toDeviceName(number(row, 'user_number'), text(row, 'device_id')),
}

/**
 * The rows with what is sealed in them opened; what cannot be opened any more, because its key has been destroyed, is `null`.
 * The rows must have all columns of the table.
 */
export function openOwnRows(sealer: Sealer, table: string, rows: readonly RowText[]): RowText[] {
  return rows.map(row =>
    Object.fromEntries(
      Object.entries(row).map(([column, value]) => {
        const nameOf = sealedColumns[`${table}.${column}`]
        if (!nameOf || value === null) return [column, value]
        // Postgres writes bytes as \\x and digits.
        return [column, sealer.open(Buffer.from(value.slice(2), 'hex'), nameOf(row))]
      }),
    ),
  )
}
