import { type Readable } from 'node:stream'
import { newToken, readToken } from '../accounts/tokens.ts'
import { type Context } from '../context.ts'
import { notFound } from '../errors.ts'
import { type RequestEnd } from '../http/endpoint.ts'
import { removeFiles } from '../media/files.ts'
import { transaction } from '../storage/database.ts'
import { deleteProbe, insertProbe, isProbe } from '../storage/doctor-probes.ts'
import { insertUnreferencedFiles } from '../storage/media.ts'

/** Longer than a doctor takes. */
const probeLifetimeMs = 300_000
/** What a long poll may take. */
const longestHoldMs = 30_000
/** When the file of an upload goes if the server dies before it has removed it. */
const leftOverMs = 3_600_000

/** Draws a secret with which a doctor tests the way from the outside to this server. Its owner can do nothing else with it. */
export async function openProbe(ctx: Context): Promise<{ readonly secret: string; close: () => Promise<void> }> {
  const { token, hash } = newToken(ctx.random, 'probe')
  await transaction(ctx.db, tx => insertProbe(tx, hash, ctx.clock.now() + probeLifetimeMs))
  return { secret: token, close: () => transaction(ctx.db, tx => deleteProbe(tx, hash)) }
}

/** Throws `notFound` unless a doctor has drawn the secret. */
export async function checkProbe(ctx: Context, secret: string): Promise<void> {
  const hash = readToken(secret, 'probe')
  if (!hash || !(await isProbe(ctx.db.kysely, hash, ctx.clock.now()))) throw notFound()
}

/** Takes an upload as media are taken, writes it where they are written, and removes it. Returns how many bytes came. */
export async function takeUpload(ctx: Context, secret: string, stream: Readable): Promise<number> {
  await checkProbe(ctx, secret)
  const fileName = Buffer.from(ctx.random.bytes(16)).toString('hex')
  await transaction(ctx.db, tx => insertUnreferencedFiles(tx, [fileName], ctx.clock.now() + leftOverMs))
  try {
    const { sizeBytes } = await ctx.mediaStore.write(fileName, stream, ctx.config.media.maxUploadBytes)
    return sizeBytes
  } finally {
    await removeFiles(ctx, [fileName])
  }
}

/** Keeps an answer back, as a long poll does. */
export async function hold(ctx: Context, secret: string, delayMs: number, end: RequestEnd): Promise<void> {
  await checkProbe(ctx, secret)
  const over = new AbortController()
  const takeBack = end.listen(() => over.abort())
  // It rejects when the client goes away or the server stops: then there is nothing to wait for.
  await ctx.clock.sleep(Math.min(delayMs, longestHoldMs), over.signal).catch(() => undefined)
  takeBack()
}
