import { unavailable } from '../../errors.ts'
import { describeError, type Logger } from '../../log.ts'
import { type Random } from '../../random.ts'
import { type Database, patientTransaction, transaction, type Tx } from '../../storage/database.ts'
import { lockKeyring, noteKeyring } from '../../storage/keyring-row.ts'
import { markSetBack } from '../../storage/set-back.ts'
import {
  decodeKeyring, type Destruction, type Keyring, KeyringError, type LivingKeys, newKeyring, rotated, standingOf,
  withoutBefore, withoutKeys,
} from './keyring.ts' // prettier-ignore
import { putKeyring } from './put-keyring.ts'
import { type KeyringStore } from './store.ts'

/** How many chunks a process takes at a time: enough for a million values. */
const blockSize = 4_096

/** The keyring of a running server. */
export interface OpenKeyring {
  /** The keys that are alive, as this process knows. */
  readonly keys: LivingKeys
  /** A chunk that nobody was given. Throws 503 when the store has not handed out new ones yet. */
  takeChunk(): number
  /** Destroys keys for good; when it resolves, no copy of the database can be opened with them. Throws `KeyringError`. */
  destroy(destruction: Destruction): Promise<void>
  /** Makes new keys to seal under, unless a rotation has begun already. No other process may have the keyring open. */
  beginRotation(): Promise<void>
  /** Destroys the keys from before the rotation, all of them. */
  endRotation(): Promise<void>
  /** Learns what other processes destroyed. */
  refresh(): Promise<void>
  /** For the operator: where it is, how large, how often it was written. */
  status(): { readonly place: string; readonly nodes: number; readonly serial: number }
}

export interface KeyringOptions {
  readonly db: Database
  readonly store: KeyringStore
  readonly serverName: string
  readonly random: Random
  readonly logger: Logger
}

/**
 * Opens the keyring that the database belongs with; an empty database gets a new one. Throws `KeyringError` when it is
 * missing, is another's, or is an older copy than the database has seen: the server must not start then, since what it
 * would seal or destroy could not be made good.
 */
export async function openKeyring(options: KeyringOptions): Promise<OpenKeyring> {
  const { store, logger, random } = options
  let keyring: Keyring
  let block = { next: 0, end: 0 }
  let refilling: Promise<void> | null = null

  /** Reads, changes and writes the keyring while no other process does, one change after the other. */
  let last: Promise<unknown> = Promise.resolve()
  const change = (work: (current: Keyring) => Keyring): Promise<Keyring> => {
    // Each takes two connections of the pool: many at a time could wait for each other's second.
    const mine = last.then(() => changeKeyring(options, work))
    last = mine.catch(() => undefined)
    return mine
  }

  const refill = async () => {
    keyring = await change(current => ({ ...current, nextChunk: current.nextChunk + blockSize }))
    // What was left of the block before is not worth keeping: there are 2^32 chunks.
    block = { next: keyring.nextChunk - blockSize, end: keyring.nextChunk }
  }
  await refill()

  return {
    get keys() {
      return keyring
    },
    takeChunk() {
      if (block.end - block.next <= blockSize / 2) {
        refilling ??= refill()
          .catch((error: unknown) => logger.warn('The keyring could not be written', describeError(error)))
          .finally(() => {
            refilling = null
          })
      }
      if (block.next >= block.end) throw unavailable('The keyring cannot be written; try again')
      return block.next++
    },
    async destroy(destruction) {
      keyring = await change(current => withoutKeys(current, destruction))
    },
    async beginRotation() {
      keyring = await change(current => rotated(current, random))
    },
    async endRotation() {
      keyring = await change(withoutBefore)
    },
    async refresh() {
      const bytes = await store.read()
      if (bytes === null) throw new KeyringError(`${store.place} is gone. The server goes on with what it has in memory; restore the file before it stops.`) // prettier-ignore
      const latest = decodeKeyring(bytes)
      if (latest.id === keyring.id && latest.serial > keyring.serial) keyring = latest
    },
    status: () => ({ place: store.place, nodes: keyring.tree.size, serial: keyring.serial }),
  }
}

/** How often a change begins anew because the database was set back. */
const changeAttempts = 3

async function changeKeyring(options: KeyringOptions, work: (current: Keyring) => Keyring): Promise<Keyring> {
  const { db, store } = options
  for (let attempts = changeAttempts; attempts > 0; attempts--) {
    const written = await transaction(db, async tx => {
      const { keyring, isNewer } = await current(tx, options)
      if (isNewer) return null
      const next = work(keyring)
      const changed = { ...next, serial: next.serial + 1 }
      await putKeyring(tx, changed, { store, db })
      return changed
    })
    if (written) return written
    await noteSetBack(options)
  }
  throw new KeyringError('The database is set back again and again while the keyring is being changed.')
}

/** Deals with a keyring that was written without the database: that was set back to a copy of itself. Takes as long as it takes. */
async function noteSetBack(options: KeyringOptions): Promise<void> {
  await patientTransaction(options.db, async tx => {
    const { keyring, isNewer } = await current(tx, options)
    // Another process has seen to it meanwhile.
    if (!isNewer) return
    await markSetBack(tx)
    const { id, serial, nextChunk, generation } = keyring
    await noteKeyring(tx, { keyringId: id, serial, nextChunk, generation })
  })
}

interface Current {
  readonly keyring: Keyring
  /** True if the database has been set back. */
  readonly isNewer: boolean
}

/** The keyring as it is kept, checked against what the database knows of it. */
async function current(tx: Tx, { store, serverName, random }: KeyringOptions): Promise<Current> {
  const row = await lockKeyring(tx)
  const bytes = await store.read()
  if (bytes === null) {
    if (row.keyringId === null) return { keyring: newKeyring(serverName, random), isNewer: false }
    throw new KeyringError(
      `${store.place} is missing, and nothing in the database can be read without it. Put it back, or restore a backup ` +
        'of it with "lethe keys restore".',
    )
  }
  const keyring = decode(bytes, store)
  const standing = standingOf(keyring, { serverName, ...row })
  if (standing === 'foreign') {
    throw new KeyringError(
      `${store.place} is the keyring of another database (of "${keyring.serverName}"): this one cannot be read with it.`,
    )
  }
  if (standing === 'older') {
    throw new KeyringError(
      `${store.place} is an older copy of the keyring than this database has seen: keys that were destroyed are back in ` +
        'it. Put the newest copy back; if there is none, take this one on with "lethe keys restore".',
    )
  }
  const nextChunk = Math.max(keyring.nextChunk, row.nextChunk)
  return { keyring: { ...keyring, nextChunk }, isNewer: standing === 'newer' }
}

function decode(bytes: Buffer, store: KeyringStore): Keyring {
  try {
    return decodeKeyring(bytes)
  } catch (error) {
    if (error instanceof KeyringError) throw new KeyringError(`${store.place}: ${error.message}`)
    throw error
  }
}
