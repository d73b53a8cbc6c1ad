import type pg from 'pg'
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
 * The connection that the locks of one process belong to. It is not one of the pool's: whoever holds a lock works with
 * connections of the pool meanwhile, and a pool full of such holders would wait for itself.
 */
export class LockKeeper {
  readonly #connect: () => Promise<pg.Client>
  readonly #held = new Set<LockName>()
  #client: Promise<pg.Client> | null = null

  constructor(connect: () => Promise<pg.Client>) {
    this.#connect = connect
  }

  /** Takes a lock unless this process or another has it: then it returns `null`. Throws `DatabaseError`. */
  async take(name: LockName): Promise<HeldLock | null> {
    // To Postgres all of a connection is one holder.
    if (this.#held.has(name)) return null
    this.#held.add(name)
    try {
      const client = await this.#open()
      const { rows } = await client.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1) AS locked', [
        lockKeys[name],
      ])
      if (rows[0]?.locked === true) return { release: () => this.#release(name, client) }
    } catch (error) {
      this.#held.delete(name)
      throw error
    }
    this.#held.delete(name)
    return null
  }

  /** Lets go of all locks. */
  async close(): Promise<void> {
    const client = await this.#client?.catch(() => null)
    await client?.end()
  }

  async #release(name: LockName, client: pg.Client): Promise<void> {
    try {
      await client.query('SELECT pg_advisory_unlock($1)', [lockKeys[name]])
    } finally {
      this.#held.delete(name)
    }
  }

  #open(): Promise<pg.Client> {
    if (this.#client) return this.#client
    const opening = this.#connect()
    const forget = (): void => {
      if (this.#client === opening) this.#client = null
    }
    this.#client = opening
    opening.then(client => client.once('end', forget), forget)
    return opening
  }
}

interface HeldLock {
  /** Throws `DatabaseError` if the lock was lost meanwhile. */
  release(): Promise<void>
}

/**
 * Runs `work` unless another process, or this one, is at the same: then it returns `null` and `work` does not run. The lock
 * belongs to a connection, so it is free again when the process dies, however it dies. Should that connection alone be
 * lost, `work` goes on while another process may begin: it must not be wrong to run twice, only wasteful; in the end a
 * `DatabaseError` tells.
 */
export async function whileAlone<T>(
  { locks }: Pick<Database, 'locks'>,
  name: LockName,
  work: () => Promise<T>,
): Promise<T | null> {
  const lock = await locks.take(name)
  if (!lock) return null
  let result
  try {
    result = await work()
  } catch (error) {
    // What went wrong first is what is told.
    await lock.release().catch(() => undefined)
    throw error
  }
  await lock.release()
  return result
}
