import { mkdir } from 'node:fs/promises'
import { loadConfig } from '../../src/config.ts'
import { silentLogger } from '../../src/log.ts'
import { startServer, type RunningServer } from '../../src/server.ts'
import { House } from './house.ts'
import { keepHouse, keptHouse, type KeptHouse } from './kept-house.ts'
import { measureRelations } from './measure.ts'

/** Messages between two notes of how far the filling is. */
const messagesPerStep = 100_000

/** A database of a certain size, with a server over it. */
export interface FilledHouse {
  readonly house: House
  readonly kept: KeptHouse
  close(): Promise<void>
}

/** What to fill it with. */
export interface Filling {
  readonly messages: number
  readonly rooms: number
  /** In how many of them the reader is. */
  readonly joinedRooms: number
}

/**
 * Opens the database in a folder, a new one if there is none, and fills it up to the number of messages. It goes on where an
 * earlier run, which may have been cut off, left it.
 */
export async function prepare(
  folder: string,
  port: number,
  filling: Filling,
  say: (line: string) => void,
): Promise<FilledHouse> {
  await mkdir(folder, { recursive: true, mode: 0o711 })
  const server = await start(folder, port)
  const before = await keptHouse(folder)
  const house = new House(server, before)
  const close = async () => {
    await house.close()
    await server.close()
  }
  try {
    let kept = before ?? (await furnish(house, filling, say))
    await keepHouse(folder, kept)
    while (kept.messages < filling.messages) {
      const next = Math.min(filling.messages, (Math.floor(kept.messages / messagesPerStep) + 1) * messagesPerStep)
      await house.fill(kept.writer, next - kept.messages, () => undefined)
      kept = { ...kept, messages: next }
      if (next === filling.messages || Number.isInteger(Math.log10(next))) {
        const relations = await measureRelations(house)
        kept = { ...kept, sizes: [...kept.sizes, { messages: next, relations }] }
      }
      await keepHouse(folder, kept)
      say(`${next} messages`)
    }
    return { house, kept, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function furnish(house: House, filling: Filling, say: (line: string) => void): Promise<KeptHouse> {
  say(`making ${filling.rooms} rooms …`)
  const [writer, reader] = [await house.person(), await house.person()]
  await house.makeRooms(writer, reader, filling.rooms, filling.joinedRooms)
  const relations = await measureRelations(house)
  return { writer, reader, rooms: house.rooms, messages: 0, sizes: [{ messages: 0, relations }] }
}

async function start(folder: string, port: number): Promise<RunningServer> {
  const loaded = loadConfig({
    env: {
      LETHE_DATA_DIR: folder,
      LETHE_LISTEN__PORT: String(port),
      LETHE_METRICS__ENABLED: 'false',
      LETHE_RATE_LIMITS__ENABLED: 'false',
      LETHE_REGISTRATION__MODE: 'open',
      LETHE_REGISTRATION__I_KNOW_OPEN_IS_UNSAFE: 'true',
    },
    cwd: folder,
  })
  if (!loaded.ok) throw new Error(loaded.problems.map(({ key, message }) => `${key} ${message}`).join('; '))
  // Sweeps begin when the benchmark says so.
  return startServer({ config: loaded.config, logger: silentLogger, loops: [] })
}
