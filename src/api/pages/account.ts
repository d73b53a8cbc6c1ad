import { signInToPages, signOutOfPages } from '../../accounts/page-sessions.ts'
import { type Context } from '../../context.ts'
import { forbidden, MatrixError } from '../../errors.ts'
import { oneOf, optional } from '../../http/decoders.ts'
import { endpoint, type Reply } from '../../http/endpoint.ts'
import { readForm } from './form.ts'
import { html, page, seeOther } from './html.ts'
import { accountPage, cookieHeader, cookieOf, done, take, type Visit, visitOf } from './signed-in.ts'

const notices = { password: 'Your password is changed, and every other sign-in has ended.' } as const

/** One’s account, or the form to sign in with. */
export const getAccount = endpoint({
  method: 'GET',
  path: '/account',
  auth: 'none',
  limit: 'anonymous',
  query: { done: optional(oneOf('password')) },
  handle: async (ctx, { browser, query }) => {
    const visit = await visitOf(ctx, browser)
    return visit ? overview(visit, query.done && notices[query.done]) : signIn(ctx, '', null)
  },
})

/** Signs in with name and password. */
export const postSignIn = endpoint({
  method: 'POST',
  path: '/account/sign-in',
  auth: 'none',
  limit: 'login',
  body: 'stream',
  handle: async (ctx, { browser, upload }) => {
    const fields = await readForm(upload)
    const name = fields.get('name') ?? ''
    try {
      // Nobody may be signed in to an account that another site has chosen.
      if (!browser.isOwnPage) throw forbidden('Sign in on this page')
      const cookie = await signInToPages(ctx, name, fields.get('password') ?? '')
      return seeOther('/account', cookieHeader(ctx, cookie))
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error
      return signIn(ctx, name, error)
    }
  },
})

export const postSignOut = endpoint({
  method: 'POST',
  path: '/account/sign-out',
  auth: 'none',
  limit: 'anonymous',
  body: 'stream',
  handle: (ctx, request) =>
    take(ctx, request, async () => {
      await signOutOfPages(ctx, cookieOf(ctx, request.browser) ?? '')
      return seeOther('/', cookieHeader(ctx, null))
    }),
})

function signIn(ctx: Context, name: string, problem: MatrixError | null): Reply {
  const message = problem ? html`<p role="alert">${problem.message}</p>` : html``
  return page(
    'Your account',
    html`${message}
      <section>
        <form method="post" action="/account/sign-in">
          <label for="name">Your name on ${ctx.serverName}</label>
          <input
            id="name"
            name="name"
            value="${name}"
            required
            maxlength="255"
            autocapitalize="none"
            autocomplete="username"
            spellcheck="false"
          />
          <label for="password">Your password</label>
          <input id="password" name="password" type="password" required autocomplete="current-password" />
          <button>Sign in</button>
        </form>
      </section>
      <p class="soft">
        You are signed in for an hour, with one cookie that only this server gets. It is no device of yours.
      </p>`,
    { top: home(ctx), ...(problem ? { status: problem.status, headers: problem.headers } : {}) },
  )
}

/** The way back to the first page. */
function home(ctx: Context) {
  return html`<nav><a href="/">${ctx.serverName}</a></nav>`
}

function overview(visit: Visit, notice: string | undefined): Reply {
  return accountPage(
    'Your account',
    visit,
    '/account',
    html`${done(notice)}
      <p>You are <strong class="code">${visit.visitor.userId}</strong>.</p>
      <section>
        <h2>Your things</h2>
        <ul>
          <li><a href="/account/rooms">Your rooms</a>, how long their messages live, and who else has copies</li>
          <li><a href="/account/devices">Your devices</a></li>
          <li><a href="/account/report">What this server knows of you</a></li>
          <li><a href="/account/export">Take it with you</a>: a ZIP of all of it</li>
        </ul>
      </section>
      <section>
        <h2>Your account</h2>
        <ul>
          <li><a href="/account/password">Change your password</a>, or get a new recovery code</li>
          <li><a href="/account/erase">Erase your account</a></li>
        </ul>
      </section>`,
  )
}
