import { type Context } from '../context.ts'
import { type RequestEnd } from '../http/endpoint.ts'
import { databaseSource } from './database-source.ts'
import { type KnownUser } from './known-users.ts'
import { type Live, liveOf } from './live.ts'
import { answerMessagesAlone } from './messages-alone.ts'
import { type Waiter } from './notifier.ts'
import { type SyncRequest } from './request.ts'
import { accountDataTexts, withPushRules } from './sections/account-data.ts'
import { acknowledgeToDevice, deviceListsText, toDeviceTexts } from './sections/encryption.ts'
import { invitationTexts } from './sections/invitations.ts'
import { keyCountsText } from './sections/key-counts.ts'
import { roomTexts, type Sync } from './sections/rooms.ts'
import { type Source } from './source.ts'
import { tailSource } from './tail-source.ts'
import { syncToken, type SyncToken } from './token.ts'
import { typingMark, typingSince } from './typing-news.ts'

/** How long to wait for what a client has seen on another replica. */
const catchUpMs = 5_000

/** An answer to /sync. */
export interface Answer {
  /** The members of its JSON object, without `next_batch`. */
  readonly fields: readonly string[]
  /** The token of its end. */
  readonly next: SyncToken
}

/**
 * Answers a /sync as JSON text: at once if there is news or if it is a first sync, else when there is, when the time is up,
 * or when the server drains. Nothing is dropped: a part that is cut says so.
 * @param end gives the request's end; asked for by those who wait
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync
 */
export async function answerSync(ctx: Context, request: SyncRequest, end: () => RequestEnd): Promise<string> {
  const live = liveOf(ctx)
  const { caller, since } = request
  const user = live.users.get(caller.userId) ?? (await live.users.load(caller.userId, caller.userNumber))
  // Before the first read, so that nothing slips between.
  const waiter = live.notifier.register(user, caller.deviceId)
  try {
    // A token of another replica that is ahead of this one.
    if (since && since.position > ctx.log.head) await ctx.log.reached(since.position, catchUpMs)
    if (since) await acknowledgeToDevice(ctx, caller, since)
    return await answerWhenDue(ctx, request, user, waiter, end)
  } finally {
    live.notifier.release(waiter)
  }
}

async function answerWhenDue(
  ctx: Context,
  request: SyncRequest,
  user: KnownUser,
  waiter: Waiter,
  end: () => RequestEnd,
): Promise<string> {
  const { clock } = ctx
  const { caller, fullState } = request
  const live = liveOf(ctx)
  const deadlineMs = clock.monotonic() + request.timeoutMs
  const finish = async (answer: Answer) => textOf(answer, await keyCountsText(ctx, caller))
  let { since } = request
  for (;;) {
    const answer = await build(ctx, since === request.since ? request : { ...request, since }, user)
    // Whoever was signed out meanwhile is told nothing more.
    if (waiter.mustReauthenticate && since) return finish({ fields: [], next: since })
    const remainingMs = deadlineMs - clock.monotonic()
    const isDue = since === null || fullState || answer.fields.length > 0 || remainingMs <= 0
    if (isDue || ctx.shutdown.aborted) return finish(answer)
    // Nothing in the span concerns the user: the next look begins where this one ended.
    since = answer.next
    const wake = await waiter.wait(clock, remainingMs, end())
    // Whoever was not woken need not look again, however far the log has gone on: what concerns them would have woken them.
    // Read together with the head: an entry may have come since the timer fired.
    if (wake === 'timeout' && !waiter.isWoken && live.undecided === 0) {
      const position = Math.max(live.tail.head, since.position)
      return finish({ fields: [], next: { ...since, position, typing: typingMark(ctx) } })
    }
    if (wake === 'ended') return finish({ fields: [], next: since })
  }
}

function textOf({ fields, next }: Answer, keyCounts: string): string {
  const all = [`"next_batch":${JSON.stringify(syncToken(next))}`, ...fields, ...(keyCounts === '' ? [] : [keyCounts])]
  return `{${all.join(',')}}`
}

function build(ctx: Context, request: SyncRequest, user: KnownUser): Answer | Promise<Answer> {
  const { since, fullState } = request
  if (!since) return buildFromDatabase(ctx, request, user)
  if (since.position > ctx.log.head) return { fields: [], next: since }
  const live = liveOf(ctx)
  if (!live.tail.covers(since.position)) return buildFromDatabase(ctx, request, user)
  const mark = typingMark(ctx)
  if (!fullState && since.typing === mark && since.toDevice === undefined && isQuiet(live, user, since.position))
    return { fields: [], next: { position: live.tail.head, typing: mark, epoch: since.epoch } }
  return answerMessagesAlone(ctx, request, since, user) ?? buildFromTail(ctx, request, since, user)
}

/** True if nothing that the user could be told of happened after a position that the tail covers. */
function isQuiet({ tail }: Live, user: KnownUser, after: number): boolean {
  const { head } = tail
  if (head === after) return true
  if (tail.newsOf(user.userId, after, head).length > 0 || tail.deviceLists(after, head).length > 0) return false
  if (head - after < user.rooms.size) {
    for (const entry of tail.entriesAfter(after))
      if ((entry.kind === 'event' || entry.kind === 'receipt') && user.rooms.has(entry.roomId)) return false
    return true
  }
  for (const roomId of user.rooms.keys()) if ((tail.lastOf(roomId) ?? 0) > after) return false
  return true
}

/** What the tail says of the span after a token that it covers. */
export function buildFromTail(ctx: Context, request: SyncRequest, since: SyncToken, user: KnownUser): Promise<Answer> {
  return assemble(ctx, request, tailSource(ctx, liveOf(ctx), user, request.caller, since.position), user)
}

/** The same from the database, for any token and for none. */
export function buildFromDatabase(ctx: Context, request: SyncRequest, user: KnownUser): Promise<Answer> {
  const { since, caller, filter } = request
  const source = databaseSource(ctx, caller, since?.position ?? null, ctx.log.head, filter.room.includeLeave)
  return assemble(ctx, request, source, user)
}

/** Puts the parts of an answer together. */
async function assemble(ctx: Context, request: SyncRequest, source: Source, user: KnownUser): Promise<Answer> {
  const { since, caller, filter, fullState } = request
  const accountData = await source.accountData()
  const typing = typingSince(ctx, user, since?.typing ?? null)
  const sync: Sync = { ctx, request, source, ignored: user.ignored, accountData, typing }

  const others = new Set(typing.rooms)
  for (const { roomNumber } of accountData) if (roomNumber !== 0) others.add(roomNumber)
  const stays = await source.stays(fullState ? 'all' : others)
  const rooms = await roomTexts(sync, stays)
  const invitations = await invitationTexts(sync, stays)
  const global = accountData.filter(item => item.roomNumber === 0)
  const globalTexts = since
    ? accountDataTexts(caller, filter.accountData, null, global)
    : withPushRules(caller, filter.accountData, global)
  const toDevice = await toDeviceTexts(ctx, caller, source.to)
  const deviceLists = await deviceListsText(ctx, caller, since, source)

  const fields: string[] = []
  const parts = Object.entries({ ...rooms, ...invitations }).filter(([, texts]) => texts.size > 0)
  if (parts.length > 0) {
    const objects = parts.map(([name, texts]) => {
      const members = [...texts].map(([roomId, text]) => `${JSON.stringify(roomId)}:${text}`)
      return `"${name}":{${members.join(',')}}`
    })
    fields.push(`"rooms":{${objects.join(',')}}`)
  }
  if (globalTexts.length > 0) fields.push(`"account_data":{"events":[${globalTexts.join(',')}]}`)
  if (toDevice.texts.length > 0) fields.push(`"to_device":{"events":[${toDevice.texts.join(',')}]}`)
  if (deviceLists !== null) fields.push(`"device_lists":${deviceLists}`)
  const next = {
    position: source.to,
    typing: typing.mark,
    epoch: ctx.log.epoch,
    ...(toDevice.upTo === null ? {} : { toDevice: toDevice.upTo }),
  }
  return { fields, next }
}
