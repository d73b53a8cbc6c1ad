import { signInToPages, signOutOfPages } from '../../accounts/page-sessions.ts'
import { type Context } from '../../context.ts'
import { forbidden, MatrixError } from '../../errors.ts'
import { oneOf, optional } from '../../http/decoders.ts'
import { endpoint, type Reply } from '../../http/endpoint.ts'
import { nameField, passwordField } from './fields.ts'
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
          ${nameField('name', name)}
          <label for="password">Your password</label>
          ${passwordField()}
          <button>Sign in</button>
        </form>
      </section>
      <p class="soft">
        <a href="/recover">Forgotten your password?</a> You are signed in for an hour, with one cookie that only this
        server gets. It is no device of yours.
      </p>`,
    problem ? { status: problem.status, headers: problem.headers } : {},
  )
}

function overview(visit: Visit, notice: string | undefined): Reply {
  return accountPage(
    'Your account',
    visit,
    '/account',
    html`${done(notice)}
      <p>You are <strong class="code">${visit.visitor.userId}</strong>.</p>
      <section>
        <ul class="ways">
          <li>
            <a href="/account/rooms">Your rooms</a>
            <span class="soft">How long their messages live, and who else has copies.</span>
          </li>
          <li>
            <a href="/account/devices">Your devices</a>
            <span class="soft">Where you are signed in, and how to sign one out that you have lost.</span>
          </li>
          <li>
            <a href="/account/report">What this server knows of you</a>
            <span class="soft"
              >All of it, table by table. <a href="/account/export">Take it with you</a> as a ZIP.</span
            >
          </li>
          <li>
            <a href="/account/password">Your password</a>
            <span class="soft">Change it, or get a new recovery code.</span>
          </li>
          <li>
            <a href="/">Clients</a>
            <span class="soft">How to sign in to this server with Element and others.</span>
          </li>
          <li>
            <a href="/account/erase">Erase your account</a>
            <span class="soft">With everything you have said here. You get a receipt of what remains.</span>
          </li>
        </ul>
      </section>`,
  )
}
