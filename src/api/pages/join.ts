import { findJoinLink, joinByLink } from '../../accounts/join-links.ts'
import { checkNewPassword, passwordLeastCharacters } from '../../accounts/passwords.ts'
import { availablePseudonym, availableUserId } from '../../accounts/registration.ts'
import { type Context } from '../../context.ts'
import { MatrixError } from '../../errors.ts'
import { string } from '../../http/decoders.ts'
import { endpoint, type Reply } from '../../http/endpoint.ts'
import { localpartOf, type UserId } from '../../protocol/identifiers.ts'
import { clients } from './clients.ts'
import { nameField, newPasswordField } from './fields.ts'
import { readForm } from './form.ts'
import { html, page } from './html.ts'
import { shownCode } from './recovery-code.ts'

/** A page to make an account with, for whoever was given the link. */
export const getJoin = endpoint({
  method: 'GET',
  path: '/join/:token',
  auth: 'none',
  limit: 'anonymous',
  params: { token: string },
  handle: async (ctx, { params }) => {
    if (!(await findJoinLink(ctx, params.token))) return unusable()
    return form(ctx, localpartOf(await availablePseudonym(ctx)), null)
  },
})

/** Makes the account that the form asks for, and uses the link up. */
export const postJoin = endpoint({
  method: 'POST',
  path: '/join/:token',
  auth: 'none',
  limit: 'anonymous',
  params: { token: string },
  body: 'stream',
  handle: async (ctx, { params, upload }) => {
    const fields = await readForm(upload)
    if (!(await findJoinLink(ctx, params.token))) return unusable()
    const username = fields.get('username')?.trim() ?? ''
    const password = fields.get('password') ?? ''
    try {
      checkNewPassword(password)
      const userId = await availableUserId(ctx, username)
      const code = await joinByLink(ctx, params.token, { userId, password })
      return welcome(ctx, userId, code)
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error
      // Somebody else may have used the link while the form was filled in.
      if (error.errcode === 'M_NOT_FOUND') return unusable()
      return form(ctx, username, error)
    }
  },
})

function form(ctx: Context, username: string, problem: MatrixError | null): Reply {
  const message = problem ? html`<p role="alert">${problem.message}</p>` : html``
  return page(
    `Join ${ctx.serverName}`,
    html`<p>
        This link makes you one account. It needs a name and a password: no e-mail address, no telephone number, no real
        name.
      </p>
      ${message}
      <section>
        <form method="post">
          <label for="username">Your name here</label>
          <p class="hint" id="name-hint">
            Drawn for you, so that it says nothing of you. Keep it or choose another; it cannot be changed later.
            <a href="?">Draw another name</a>
          </p>
          ${nameField('username', username, { most: 200, hint: 'name-hint' })}
          <label for="password">A password</label>
          <p class="hint" id="password-hint">
            At least ${String(passwordLeastCharacters)} characters; a longer one is better.
          </p>
          ${newPasswordField('password-hint')}
          <button>Make my account</button>
        </form>
      </section>`,
    problem ? { status: problem.status } : {},
  )
}

function welcome(ctx: Context, userId: UserId, code: string): Reply {
  return page(
    'Welcome',
    html`<p>Your account is <strong class="code">${userId}</strong></p>
      ${shownCode(code)}
      <section>
        <h2>Start talking</h2>
        ${clients(ctx, userId)}
      </section>
      <section>
        <h2>Your account, without a client</h2>
        <p>
          How long messages live in your rooms, your devices, everything this server knows of you, and how to erase it.
        </p>
        <p><a class="button plain" href="/account">Your account</a></p>
      </section>`,
  )
}

function unusable(): Reply {
  return page('This link cannot be used', html`<p>It was used before, or it has expired. Ask for another one.</p>`, {
    status: 404,
  })
}
