import { type Context } from './context.ts'
import { backgroundJobs } from './admin/job-loop.ts'
import { eraser } from './privacy/eraser.ts'
import { reforgetter } from './privacy/forget-unreadable.ts'
import { sweeper } from './retention/sweeper.ts'

/** Work that goes on by itself while the server runs. */
export interface Loop {
  readonly name: string
  /** Starts it; returns how to end it, which resolves when nothing of it is running any more. */
  start(ctx: Context): () => Promise<void>
}

/** Every loop of a server, in the order of starting; they end in the opposite order. */
export const loops: readonly Loop[] = [sweeper, eraser, reforgetter, backgroundJobs]
