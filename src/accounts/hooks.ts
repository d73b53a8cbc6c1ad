import { type Context, perServer } from '../context.ts'
import { type UserId } from '../protocol/identifiers.ts'

/** Runs after a user's account was deactivated: rooms are left, pushers go. Runs again if it failed and is asked for again. */
export type DeactivationHook = (ctx: Context, userId: UserId) => Promise<void>

/** Runs after a user's display name or avatar changed: the user's rooms are told. */
export type ProfileHook = (ctx: Context, userId: UserId) => Promise<void>

const deactivationHooks = perServer(() => new Set<DeactivationHook>())
const profileHooks = perServer(() => new Set<ProfileHook>())

/** Has `hook` run after each deactivation on this server. */
export function onDeactivate(ctx: Context, hook: DeactivationHook): void {
  deactivationHooks(ctx).add(hook)
}

/** Has `hook` run after each change of a display name or an avatar on this server. */
export function onProfileChange(ctx: Context, hook: ProfileHook): void {
  profileHooks(ctx).add(hook)
}

export async function runDeactivationHooks(ctx: Context, userId: UserId): Promise<void> {
  for (const hook of deactivationHooks(ctx)) await hook(ctx, userId)
}

export async function runProfileHooks(ctx: Context, userId: UserId): Promise<void> {
  for (const hook of profileHooks(ctx)) await hook(ctx, userId)
}
