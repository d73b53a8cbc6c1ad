import { accountOf, changePassword } from '../../accounts/account.ts'
import { openPageSession } from '../../accounts/page-sessions.ts'
import { proveOwnPassword } from '../../accounts/password-login.ts'
import { checkNewPassword, passwordLeastCharacters, passwordLimitBytes } from '../../accounts/passwords.ts'
import { forbidden, MatrixError } from '../../errors.ts'
import { endpoint, type Reply } from '../../http/endpoint.ts'
import { passwordField } from './fields.ts'
import { html, seeOther } from './html.ts'
import { accountPage, cookieHeader, show, take, type Visit } from './signed-in.ts'

/** The form for a new password. */
export const getPasswordPage = endpoint({
  method: 'GET',
  path: '/account/password',
  auth: 'none',
  limit: 'anonymous',
  handle: (ctx, request) => show(ctx, request, visit => form(visit, null)),
})

/** Changes the password. Other sign-ins to the pages end; devices do if that is asked for. */
export const postPasswordPage = endpoint({
  method: 'POST',
  path: '/account/password',
  auth: 'none',
  limit: 'anonymous',
  body: 'stream',
  handle: (ctx, request) =>
    take(ctx, request, async (visit, fields) => {
      const { visitor } = visit
      try {
        const password = fields.get('new') ?? ''
        checkNewPassword(password)
        if (!(await proveOwnPassword(ctx, visitor.userId, {}, fields.get('old') ?? ''))) {
          throw forbidden('That is not your password')
        }
        const change = { password, logOutOthers: fields.get('devices') === 'yes', keptDevice: null }
        await changePassword(ctx, visitor, change, () => Promise.resolve())
        const account = await accountOf(ctx, visitor.userId)
        if (!account) throw forbidden()
        return seeOther('/account?done=password', cookieHeader(ctx, await openPageSession(ctx, account)))
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error
        return form(visit, error)
      }
    }),
})

function form(visit: Visit, problem: MatrixError | null): Reply {
  const message = problem ? html`<p role="alert">${problem.message}</p>` : html``
  return accountPage(
    'Your password',
    visit,
    null,
    html`${message}
      <section>
        <form method="post">
          ${visit.key}
          <input name="name" value="${visit.visitor.userId}" autocomplete="username" hidden />
          <label for="old">Your password</label>
          <input id="old" name="old" type="password" required autocomplete="current-password" />
          <label for="new">A new one, of at least ${String(passwordLeastCharacters)} characters</label>
          <input
            id="new"
            name="new"
            type="password"
            required
            minlength="${String(passwordLeastCharacters)}"
            maxlength="${String(passwordLimitBytes)}"
            autocomplete="new-password"
          />
          <label class="choice tick"
            ><input type="checkbox" name="devices" value="yes" /> Sign out all my devices too. They lose the keys of
            encrypted messages that are not in a backup.</label
          >
          <button>Change it</button>
        </form>
      </section>
      <section>
        <h2>In case you forget it</h2>
        <p>
          A recovery code sets a new password without the old one. A new code takes the place of the one that you may
          have.
        </p>
        <form method="post" action="/account/recovery-code">
          ${visit.key}
          <input name="name" value="${visit.visitor.userId}" autocomplete="username" hidden />
          <label for="password">Your password, to be sure</label>
          ${passwordField()}
          <button class="plain">Show a new recovery code</button>
        </form>
      </section>`,
    problem ? { status: problem.status } : {},
  )
}
