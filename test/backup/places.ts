import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testDatabase, type TestDatabase } from '../harness/database.ts'

/** Where a server can stand. */
export interface Place {
  readonly database: TestDatabase
  readonly dataDir: string
}

/** Places that are gone after a test. */
export class Places {
  readonly #all: Place[] = []

  async add(options: { readonly empty?: boolean } = {}): Promise<Place> {
    const dataDir = await mkdtemp(join(tmpdir(), 'lethe-test-place-'))
    const place = { database: await testDatabase(options), dataDir }
    this.#all.push(place)
    return place
  }

  async remove(): Promise<void> {
    for (const { database, dataDir } of this.#all.splice(0)) {
      await database.drop()
      await rm(dataDir, { recursive: true, force: true })
    }
  }
}
