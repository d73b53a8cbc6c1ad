import { type Database } from './database.ts'

/** The keys of Postgres's advisory locks: of what only one process may do at a time, and of those that tell who is running. */
export const lockKeys = {
  sweeper: 4_921_001,
  eraser: 4_921_003,
  background_jobs: 4_921_004,
  set_back: 4_921_005,
  keyring: 4_921_100,
  running: 4_921_101,
  starting: 4_921_102,
} as const

/** What only one process of a database may do at a time; `running`: what must not be done while a server runs. */
export type LockName = Exclude<keyof typeof lockKeys, 'keyring' | 'starting'>

/**
 * Runs `work` unless another process is at the same: then it returns `null` and `work` does not run. The lock belongs to a
 * connection that is held meanwhile, so it is free again when the process dies, however it dies. Should that connection
 * alone be lost, `work` goes on while another process may begin: it must not be wrong to run twice, only wasteful.
 */
export async function whileAlone<T>(db: Database, name: LockName, work: () => Promise<T>): Promise<T | null> {
  const client = await db.pool.connect()
  let isFree = false
  try {
    const { rows } = await client.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1) AS locked', [
      lockKeys[name],
    ])
    if (rows[0]?.locked !== true) {
      isFree = true
      return null
    }
    const unlock = () => client.query('SELECT pg_advisory_unlock($1)', [lockKeys[name]])
    try {
      const result = await work()
      await unlock()
      isFree = true
      return result
    } catch (error) {
      isFree = await unlock().then(
        () => true,
        () => false,
      )
      throw error
    }
  } finally {
    // A connection that may hold the lock still is closed, and the lock with it, a little later.
    client.release(!isFree)
  }
}
