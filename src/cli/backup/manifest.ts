import { z } from 'zod'

/** A backup cannot be made, or is not what it should be; the message is for the operator. */
export class BackupError extends Error {
  override readonly name = 'BackupError'
}

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const fileName = z.string().regex(/^[0-9a-f]{32}$/)
const identifier = z.string().regex(/^[a-z_][a-z0-9_]{0,62}$/)

const manifestSchema = z.object({
  format: z.literal(1),
  lethe: z.string(),
  server_name: z.string(),
  created_ts: z.number(),
  log_position: z.number(),
  /** Which keyring opens what is sealed, and how often that had been written and its keys rotated. */
  keyring: z.object({
    id: z.string().nullable(),
    serial: z.number(),
    /** Older versions did not know it. */
    generation: z.number().nullable().default(null),
  }),
  migrations: z.array(z.object({ name: z.string(), checksum: sha256 })),
  tables: z.array(
    z.object({ name: identifier, columns: z.array(identifier), rows: z.number(), bytes: z.number(), sha256 }),
  ),
  sequences: z.array(
    z.object({ name: identifier, last_value: z.string().regex(/^-?\d{1,19}$/), is_called: z.boolean() }),
  ),
  files: z.array(z.object({ name: fileName, bytes: z.number(), sha256 })),
  /** Files that rows refer to and that were not there. */
  missing_files: z.number(),
  signing_key: z.object({ bytes: z.number(), sha256 }).nullable(),
})

/** What is in a backup: its last entry, without which it is no backup. */
export type Manifest = z.infer<typeof manifestSchema>

/** Throws `BackupError`. */
export function parseManifest(text: string): Manifest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new BackupError('The backup is damaged: its list of contents cannot be read.')
  }
  const parsed = manifestSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const format = z.object({ format: z.number() }).safeParse(value)
  if (format.success && format.data.format > 1) {
    throw new BackupError('The backup was made by a newer version of Lethe: restore it with that one.')
  }
  throw new BackupError('The backup is damaged: its list of contents is not what it should be.')
}

/** The names of the entries. */
export const entries = {
  manifest: 'manifest.json',
  note: 'README.txt',
  signingKey: 'signing.key',
  table: (name: string) => `tables/${name}.copy`,
  file: (name: string) => `media/${name}`,
} as const
