import qrcode from 'qrcode-generator'
import { createJoinLink } from '../accounts/join-links.ts'
import { type Context } from '../context.ts'
import { notFound } from '../errors.ts'
import { transaction } from '../storage/database.ts'
import { deleteJoinLink, joinLinkName, usableJoinLinks } from '../storage/join-links.ts'
import { tokenHash } from '../accounts/tokens.ts'
import { type Outcome, UsageError } from './command.ts'
import { addressOf, joinAddress } from './welcome.ts'

const hourMs = 3_600_000
const longestHours = 24 * 365

/** Makes a link with which people make their accounts, and shows it as a QR code too. */
export async function createInvite(
  ctx: Context,
  options: { readonly uses: string; readonly hours: string; readonly admin?: boolean },
): Promise<Outcome> {
  const usesAllowed = wholeNumber(options.uses, 1_000_000, '--uses')
  const lifetimeMs = wholeNumber(options.hours, longestHours, '--hours') * hourMs
  const isAdmin = options.admin === true
  const token = await createJoinLink(ctx, { isAdmin, usesAllowed, lifetimeMs })
  const link = joinAddress(addressOf(ctx.config), token)
  const isNear = ['localhost', '127.0.0.1', '[::1]'].includes(new URL(link).hostname)
  const hint = isNear ? ['That is an address of this machine alone: public_base_url is the one for others.'] : []
  const expiresTs = ctx.clock.now() + lifetimeMs
  return {
    json: { name: joinLinkName(tokenHash(token)), link, uses: usesAllowed, admin: isAdmin, expires_ts: expiresTs },
    lines: [link, '', qrCode(link), ...hint],
  }
}

function wholeNumber(text: string, most: number, name: string): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > most) throw new UsageError(`${name} must be a whole number from 1 to ${most}`)
  return value
}

/** The text as a QR code of block characters. */
function qrCode(text: string): string {
  const code = qrcode(0, 'M')
  code.addData(text)
  code.make()
  return code.createASCII(1, 2)
}

/** The links that can still be used. */
export async function listInvites(ctx: Context): Promise<Outcome> {
  const links = await usableJoinLinks(ctx.db.kysely, ctx.clock.now())
  return {
    json: {
      invites: links.map(link => ({
        name: link.name,
        uses_left: link.usesLeft,
        admin: link.isAdmin,
        expires_ts: link.expiresTs,
      })),
    },
    lines: links.map(link => {
      const until = new Date(link.expiresTs).toISOString()
      return `${link.name}  ${link.usesLeft} left, until ${until}${link.isAdmin ? ', administrator' : ''}`
    }),
  }
}

/** Takes a link back, by the name that `invite list` shows. */
export async function revokeInvite(ctx: Context, name: string): Promise<Outcome> {
  if (!(await transaction(ctx.db, tx => deleteJoinLink(tx, name)))) throw notFound('There is no such invitation')
  return { json: { name, revoked: true }, lines: [`${name} is revoked.`] }
}
