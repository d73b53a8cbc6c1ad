import { passwordLeastCharacters } from '../../accounts/passwords.ts'
import { recover } from '../../accounts/recovery.ts'
import { MatrixError } from '../../errors.ts'
import { endpoint, type Reply } from '../../http/endpoint.ts'
import { nameField, newPasswordField } from './fields.ts'
import { readForm } from './form.ts'
import { html, page } from './html.ts'
import { shownCode } from './recovery-code.ts'

/** A page for those who have forgotten their password and have a recovery code. */
export const getRecover = endpoint({
  method: 'GET',
  path: '/recover',
  auth: 'none',
  limit: 'anonymous',
  handle: () => form('', null),
})

/** Sets the password and shows the next code. */
export const postRecover = endpoint({
  method: 'POST',
  path: '/recover',
  auth: 'none',
  limit: 'login',
  body: 'stream',
  handle: async (ctx, { upload }) => {
    const fields = await readForm(upload)
    const name = fields.get('username')?.trim() ?? ''
    const [code, password] = [fields.get('code') ?? '', fields.get('password') ?? '']
    try {
      const recovered = await recover(ctx, { name, code, password })
      return page(
        'Your password is set',
        html`<p>
            <strong>${recovered.userId}</strong> has the new password, and is signed out everywhere. The code that you
            used is used up.
          </p>
          ${shownCode(recovered.code)}`,
      )
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error
      return form(name, error)
    }
  },
})

function form(name: string, problem: MatrixError | null): Reply {
  const message = problem ? html`<p role="alert">${problem.message}</p>` : html``
  return page(
    'Set a new password',
    html`${message}
      <section>
        <form method="post">
          <label for="username">Your name here</label>
          ${nameField('username', name)}
          <label for="code">Your recovery code</label>
          <input id="code" name="code" required autocapitalize="characters" autocomplete="off" spellcheck="false" />
          <label for="password">A new password of at least ${String(passwordLeastCharacters)} characters</label>
          ${newPasswordField()}
          <button>Set the password</button>
        </form>
      </section>
      <p class="soft">
        You will be signed out everywhere. Without a code, ask whoever runs this server; with your password, you can
        have
        <a href="/recovery-code">a new code</a>.
      </p>`,
    problem ? { status: problem.status } : {},
  )
}
