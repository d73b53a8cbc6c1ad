import { type Context } from '../context.ts'
import { Progress } from './backup/progress.ts'
import { type CommonOptions } from './command.ts'

const lookIntervalMs = 100

/**
 * Waits for the end of work that goes on in the database, whoever does it, and shows how far it is. `done` tells how much of
 * the whole there is so far, `result` what came of it (`null`: it goes on).
 */
export async function watched<T>(
  ctx: Context,
  options: CommonOptions,
  work: {
    readonly what: string
    readonly total: number
    readonly unit: string
    readonly done: () => Promise<number>
    readonly result: () => Promise<T | null>
  },
): Promise<T> {
  const progress = new Progress(options.json === true)
  let told = await work.done()
  // What was done before this process came says nothing of how fast it is.
  progress.begin(work.what, work.total - told, work.unit)
  try {
    for (;;) {
      const result = await work.result()
      if (result !== null) return result
      const done = await work.done()
      progress.add(done - told)
      told = done
      await ctx.clock.sleep(lookIntervalMs)
    }
  } finally {
    progress.end()
  }
}
