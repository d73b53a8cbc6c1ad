import { type Context } from '../context.ts'
import { type UserId } from '../protocol/identifiers.ts'

/** The users among these that have a number, by number. Being asked about must not make anybody known. */
export async function knownUsers(ctx: Context, userIds: readonly UserId[]): Promise<ReadonlyMap<number, UserId>> {
  const numbered = await Promise.all(
    userIds.map(async userId => [await ctx.numbers.knownUser(userId), userId] as const),
  )
  return new Map(numbered.flatMap(([userNumber, userId]) => (userNumber === null ? [] : [[userNumber, userId]])))
}
