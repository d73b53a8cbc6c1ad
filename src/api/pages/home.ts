import { type Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { operatorOf } from '../../privacy/report.ts'
import { spanWords } from '../../privacy/room-lifetime.ts'
import { hasActiveAccount } from '../../storage/accounts.ts'
import { clients } from './clients.ts'
import { html, type Html, joined, page } from './html.ts'

/** What this server is, for whoever opens its address. */
export const home = endpoint({
  method: 'GET',
  path: '/',
  auth: 'none',
  limit: 'anonymous',
  handle: async ctx => page(ctx.serverName, content(ctx, !(await hasActiveAccount(ctx.db.kysely)))),
})

function content(ctx: Context, isNew: boolean): Html {
  return html`<p>
      A <a rel="noreferrer" href="https://matrix.org">Matrix</a> server that forgets: for talking with people under
      names that need not be yours, and for keeping no more of it than is needed.
    </p>
    <section>
      <h2>Join</h2>
      <p>${isNew ? beginning : joining(ctx)}</p>
      ${clients(ctx, null)}
    </section>
    <section>
      <h2>You have an account</h2>
      <p>See your rooms and devices, what this server knows of you, and how to erase it.</p>
      <p><a class="button" href="/account">Your account</a></p>
      <p class="soft"><a href="/recover">Forgotten your password?</a></p>
    </section>
    <section>
      <h2>Privacy in a few words</h2>
      <ul>
        <li>No e-mail address, telephone number or real name is asked for, and there is no place to keep one.</li>
        <li>
          Network addresses, user agents and times of use are not kept; when a device was last used is known to the day.
        </li>
        <li>${lifetime(ctx)}</li>
        <li>The operator can see who is in which room and when something was sent; not what encrypted messages say.</li>
        <li>What others have received, on their devices or servers, is out of this server’s reach.</li>
        <li>You can see everything that is known of you, take it with you, and have it erased.</li>
      </ul>
    </section>
    ${operator(ctx)}`
}

const beginning =
  'Nobody has an account yet. The link that makes the first one, an administrator’s, is in what the server printed when it started.'

function lifetime({ config }: Context): string {
  const { maxLifetime } = config.retention.default
  if (maxLifetime === null) return 'A room can say how long its messages live; then they are deleted.'
  return `Messages are deleted after ${spanWords(maxLifetime)}, unless their room says otherwise.`
}

function joining({ config }: Context): string {
  switch (config.registration.mode) {
    case 'closed':
      return 'Accounts are made by invitation: ask somebody here for a link.'
    case 'token':
      return 'Whoever has a registration token can make an account in a Matrix client.'
    case 'open':
      return 'Anybody can make an account in a Matrix client.'
  }
}

function operator(ctx: Context): Html {
  const contacts = operatorOf(ctx)
  if (contacts.length === 0) return html``
  const lines = contacts.map(({ role, address }) => {
    const words = { 'm.role.admin': 'Operator', 'm.role.security': 'Security', 'm.role.page': 'Help' }[role] ?? role
    return html`<li>${words}: ${addressOf(address)}</li>`
  })
  return html`<section>
    <h2>Whom to write to</h2>
    <ul>
      ${joined(lines)}
    </ul>
  </section>`
}

function addressOf(address: string): Html {
  if (address.startsWith('@')) return html`<span class="code">${address}</span>`
  const link = /^https?:/.test(address) ? address : `mailto:${address}`
  return html`<a rel="noreferrer" href="${link}">${address}</a>`
}
