import { type Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { operatorOf } from '../../privacy/report.ts'
import { spanWords } from '../../privacy/room-lifetime.ts'
import { html, type Html, joined, page } from './html.ts'

/** What this server is, for whoever opens its address. */
export const home = endpoint({
  method: 'GET',
  path: '/',
  auth: 'none',
  limit: 'anonymous',
  handle: ctx => page(ctx.serverName, content(ctx)),
})

function content(ctx: Context): Html {
  return html`<p>
      This is a <a href="https://matrix.org">Matrix</a> server that forgets: for talking with people under names that
      need not be yours, and for keeping no more of it than is needed.
    </p>
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
    <section>
      <h2>Join</h2>
      <p>${joining(ctx)}</p>
      ${clients(ctx)}
    </section>
    <section>
      <h2>You have an account</h2>
      <p>See your rooms and devices, what this server knows of you, and how to erase it.</p>
      <p><a class="button" href="/account">Your account</a></p>
    </section>
    ${operator(ctx)}`
}

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

function clients({ config, serverName }: Context): Html {
  const address = config.publicBaseUrl ?? serverName
  const phone =
    config.publicBaseUrl === null
      ? html``
      : html`<li>
          On a telephone:
          <a rel="noreferrer" href="https://mobile.element.io/?hs_url=${encodeURIComponent(config.publicBaseUrl)}"
            >open in Element</a
          >, with this server filled in.
        </li>`
  return html`<p>Any Matrix client will do. Its homeserver is <strong class="code">${address}</strong></p>
    <ul>
      <li>
        In a browser: <a rel="noreferrer" href="https://app.element.io/#/login">open Element</a>, choose <em>Edit</em>
        beside the homeserver, and enter that address.
      </li>
      ${phone}
    </ul>`
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
