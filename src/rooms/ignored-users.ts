import { LRUCache } from 'lru-cache'
import { type Context, perServer } from '../context.ts'
import { type UserId } from '../protocol/identifiers.ts'
import { ignoredUsersIn, ignoredUsersType } from '../protocol/ignored-users.ts'
import { accountDataOf, globalRoomNumber } from '../storage/account-data.ts'
import { type StoredEvent } from '../storage/log-entries.ts'

/** How many users' lists are kept ready. */
const rememberedLimit = 20_000

/** Promises, because a list may change while it is being read: the log's entry removes the promise. */
const remembered = perServer(ctx => {
  const cache = new LRUCache<UserId, Promise<ReadonlySet<UserId>>>({ max: rememberedLimit })
  ctx.log.subscribe(entries => {
    for (const entry of entries) {
      if (entry.kind === 'account_data' && entry.roomId === null && entry.type === ignoredUsersType) {
        cache.delete(entry.userId)
      }
    }
  })
  return cache
})

/** Whom a user of this server ignores. https://spec.matrix.org/v1.19/client-server-api/#ignoring-users */
export function ignoredBy(ctx: Context, userId: UserId): Promise<ReadonlySet<UserId>> {
  const cache = remembered(ctx)
  let ignored = cache.get(userId)
  if (!ignored) {
    const reading = read(ctx, userId)
    cache.set(userId, reading)
    // What failed is asked for again.
    reading.catch(() => cache.peek(userId) === reading && cache.delete(userId))
    ignored = reading
  }
  return ignored
}

async function read(ctx: Context, userId: UserId): Promise<ReadonlySet<UserId>> {
  const userNumber = await ctx.numbers.knownUser(userId)
  if (userNumber === null) return new Set()
  return ignoredUsersIn(await accountDataOf(ctx.db.kysely, ctx.numbers.sealer, userNumber, globalRoomNumber, ignoredUsersType)) // prettier-ignore
}

/** True for what is kept from whoever ignores its sender: "with the exception of state events". */
export function isIgnored(ignored: ReadonlySet<UserId>, { event }: StoredEvent): boolean {
  return event.stateKey === null && ignored.has(event.sender)
}
