import { spawn } from 'node:child_process'
import { extname } from 'node:path'
import { type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { type Context, perServer } from '../context.ts'
import { limitExceeded } from '../errors.ts'
import { type ThumbnailSize } from '../storage/media.ts'
import { type ImageFormat } from './image-format.ts'
import { type ThumbnailExit, thumbnailExits } from './thumbnail-exits.ts'

/** How many thumbnails are made at a time. */
const runningLimit = 2
/** How many may wait for their turn. */
const waitingLimit = 100
/** What is answered to those who come when so many wait. */
const retryMs = 2_000
/** After this the process is killed. */
const timeLimitMs = 20_000
/** The largest thumbnail, in bytes: one as large as the original may be. */
const outputLimitBytes = 64 * 1024 * 1024
/** JavaScript's share of the process's memory; the image's is bounded by its pixels. */
const heapLimitMebibytes = 64

/** Source or build: the program lies beside this file, in the same language. */
const program = fileURLToPath(new URL(`./thumbnail-process${extname(import.meta.url)}`, import.meta.url))

/** Why there is no thumbnail; `interrupted`: the process was killed or could not be started, which says nothing of the image. */
export type ThumbnailFailure = ThumbnailExit | 'interrupted'

interface Turns {
  running: number
  readonly waiting: (() => void)[]
}

const turnsOf = perServer((): Turns => ({ running: 0, waiting: [] }))

/**
 * Makes a thumbnail in a process of its own, when it is its turn. Returns the image, or why there is none. Throws
 * M_LIMIT_EXCEEDED when too many wait already. `open` is called when the turn has come.
 */
export async function runThumbnailer(
  ctx: Context,
  open: () => Promise<Readable>,
  format: ImageFormat,
  size: ThumbnailSize,
  isAnimated: boolean,
): Promise<Buffer | ThumbnailFailure> {
  const turns = turnsOf(ctx)
  if (turns.running >= runningLimit) {
    if (turns.waiting.length >= waitingLimit) throw limitExceeded(retryMs)
    // Whoever ends hands its turn on, so `running` stays as it is.
    await new Promise<void>(resolve => turns.waiting.push(resolve))
  } else turns.running += 1
  try {
    return await runProcess(ctx, await open(), format, size, isAnimated)
  } finally {
    const next = turns.waiting.shift()
    if (next) next()
    else turns.running -= 1
  }
}

async function runProcess(
  ctx: Context,
  image: Readable,
  format: ImageFormat,
  size: ThumbnailSize,
  isAnimated: boolean,
): Promise<Buffer | ThumbnailFailure> {
  const child = spawn(
    process.execPath,
    [
      `--max-old-space-size=${heapLimitMebibytes}`, program,
      format, String(size.width), String(size.height), size.method, isAnimated ? 'animated' : 'still',
    ],
    // Nothing of the server's environment, which holds its secrets.
    { stdio: ['pipe', 'pipe', 'ignore'], env: {}, signal: ctx.shutdown, killSignal: 'SIGKILL' },
  ) // prettier-ignore
  const timer = ctx.clock.setTimeout(() => child.kill('SIGKILL'), timeLimitMs)
  try {
    const chunks: Buffer[] = []
    let length = 0
    child.stdout.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > outputLimitBytes) child.kill('SIGKILL')
      else chunks.push(chunk)
    })
    // A process that ends before it has read everything breaks the pipe; its exit says what there is to say.
    const feeding = pipeline(image, child.stdin).catch(() => undefined)
    const code = await new Promise<number | null>(resolve => {
      child.once('error', () => resolve(null))
      child.once('close', resolve)
    })
    image.destroy()
    await feeding
    switch (code) {
      case 0:
        return Buffer.concat(chunks)
      case null:
        return 'interrupted'
      case thumbnailExits.tooLarge:
        return 'tooLarge'
      case thumbnailExits.unavailable:
        return 'unavailable'
      default:
        return 'unreadable'
    }
  } finally {
    timer.clear()
  }
}
