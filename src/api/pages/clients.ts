import { type Config } from '../../config.ts'
import { type Context } from '../../context.ts'
import { localpartOf, type UserId } from '../../protocol/identifiers.ts'
import { html, type Html } from './html.ts'
import { qrCode } from './qr-code.ts'

/**
 * What clients are to be given as their homeserver: `public_base_url`; where that is not set, the server's name, from which
 * clients find it, or on a machine that only itself can reach, where it listens.
 */
function homeserverOf({ publicBaseUrl, serverName, listen }: Config): string {
  if (publicBaseUrl !== null) return publicBaseUrl.replace(/\/$/, '')
  const isLocal = serverName === 'localhost' && listen.port !== 0
  const host = ['0.0.0.0', '::'].includes(listen.host) ? 'localhost' : listen.host
  return isLocal ? `http://${host.includes(':') ? `[${host}]` : host}:${listen.port}` : serverName
}

/**
 * How to sign in to this server with a client, for somebody who has an account or for anybody. Element in a browser takes no
 * homeserver from a link; Cinny and Element on a telephone do.
 */
export function clients(ctx: Context, userId: UserId | null): Html {
  const homeserver = homeserverOf(ctx.config)
  const cinny = new URL(`https://app.cinny.in/login/${encodeURIComponent(homeserver)}/`)
  if (userId !== null) cinny.searchParams.set('username', localpartOf(userId))
  return html`<p>Any Matrix client will do. Its homeserver is</p>
    <p class="key">${homeserver}</p>
    <ul>
      <li>
        <a rel="noreferrer" href="https://app.element.io/#/login">Open Element</a> in a browser, or its desktop
        application: choose <em>Edit</em> beside the homeserver and enter that address.
      </li>
      <li><a rel="noreferrer" href="${cinny.href}">Open Cinny</a> in a browser, with this server filled in.</li>
    </ul>
    ${telephone(ctx.config)}`
}

/** A telephone reaches only a server with an address of its own, under HTTPS. */
function telephone({ publicBaseUrl }: Config): Html {
  if (publicBaseUrl?.startsWith('https:') !== true) return html``
  const link = `https://mobile.element.io/?hs_url=${encodeURIComponent(publicBaseUrl)}`
  return html`<div class="beside">
    <p>
      On a telephone: <a rel="noreferrer" href="${link}">open Element Classic</a> with this server filled in, or scan
      this with its camera.
    </p>
    ${qrCode(link, 'Link that opens Element on a telephone')}
  </div>`
}
