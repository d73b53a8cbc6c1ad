import { recoveryCodeForPassword } from '../../accounts/recovery.ts'
import { MatrixError } from '../../errors.ts'
import { endpoint, type Reply } from '../../http/endpoint.ts'
import { nameField, passwordField } from './fields.ts'
import { readForm } from './form.ts'
import { type Html, html, page } from './html.ts'

/** A page that gives a recovery code to those who made their account in a client, which knows nothing of such codes. */
export const getRecoveryCode = endpoint({
  method: 'GET',
  path: '/recovery-code',
  auth: 'none',
  limit: 'anonymous',
  handle: () => form('', null),
})

/** Shows the code, which takes the place of the one before. */
export const postRecoveryCode = endpoint({
  method: 'POST',
  path: '/recovery-code',
  auth: 'none',
  limit: 'login',
  body: 'stream',
  handle: async (ctx, { upload }) => {
    const fields = await readForm(upload)
    const name = fields.get('username')?.trim() ?? ''
    try {
      const code = await recoveryCodeForPassword(ctx, name, fields.get('password') ?? '')
      return page('A new recovery code', shownCode(code))
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error
      return form(name, error)
    }
  },
})

/** A recovery code, on the only page that it is ever on. */
export function shownCode(code: string): Html {
  return html`<section>
    <h2>Your recovery code</h2>
    <p class="key">${code}</p>
    <p>
      Write it down now and keep it where you keep what matters: <strong>it is shown this once</strong>, and nobody can
      look it up. It sets a new password when you have forgotten yours, <a href="/recover">on this page</a>.
    </p>
    <p class="soft">It does not open encrypted messages: for those your client gives you a key of its own.</p>
  </section>`
}

function form(name: string, problem: MatrixError | null): Reply {
  const message = problem ? html`<p role="alert">${problem.message}</p>` : html``
  return page(
    'A new recovery code',
    html`${message}
      <p>
        Who made their account in a client gets a recovery code here. One that you may have been given before is worth
        nothing from then on.
      </p>
      <section>
        <form method="post">
          <label for="username">Your name here</label>
          ${nameField('username', name)}
          <label for="password">Your password</label>
          ${passwordField()}
          <button>Show a code</button>
        </form>
      </section>`,
    problem ? { status: problem.status } : {},
  )
}
