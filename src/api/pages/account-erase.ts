import { proveOwnPassword } from '../../accounts/password-login.ts'
import { forbidden, invalidParam, MatrixError } from '../../errors.ts'
import { endpoint, type Reply } from '../../http/endpoint.ts'
import { eraseAccount } from '../../privacy/erase.ts'
import { passwordField } from './fields.ts'
import { html, page } from './html.ts'
import { receiptAddress } from './receipt.ts'
import { accountPage, cookieHeader, show, take, type Visit } from './signed-in.ts'

/** What erasing means, and the form that confirms it. */
export const getErasePage = endpoint({
  method: 'GET',
  path: '/account/erase',
  auth: 'none',
  limit: 'anonymous',
  handle: (ctx, request) => show(ctx, request, visit => form(visit, null)),
})

/** Erases the account of whoever confirms it with their ID and their password. */
export const postErasePage = endpoint({
  method: 'POST',
  path: '/account/erase',
  auth: 'none',
  limit: 'anonymous',
  body: 'stream',
  handle: (ctx, request) =>
    take(ctx, request, async (visit, fields) => {
      const { visitor } = visit
      try {
        if (fields.get('name')?.trim() !== visitor.userId) throw invalidParam('That is not your user ID')
        if (!(await proveOwnPassword(ctx, visitor.userId, {}, fields.get('password') ?? ''))) {
          throw forbidden('That is not your password')
        }
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error
        return form(visit, error)
      }
      const token = await eraseAccount(ctx, visitor)
      if (token === null) throw forbidden('The account is being erased already')
      const address = receiptAddress(ctx, token)
      return page(
        'Your account is closed',
        html`<p>Your password, devices, keys, profile and settings are deleted. What you sent is being erased now.</p>
          <section>
            <h2>Your receipt</h2>
            <p>
              It says what was erased and what remains. Keep this link: it is good once, for 30 days, and needs no
              account.
            </p>
            <p><a class="code" href="/receipt/${token}">${address}</a></p>
          </section>`,
        { headers: cookieHeader(ctx, null) },
      )
    }),
})

function form(visit: Visit, problem: MatrixError | null): Reply {
  const message = problem ? html`<p role="alert">${problem.message}</p>` : html``
  return accountPage(
    'Erase your account',
    visit,
    '/account/erase',
    html`${message}
      <section>
        <h2>What is erased</h2>
        <ul>
          <li>Your password, devices, keys, key backups, profile, filters, settings and uploads.</li>
          <li>Your messages, in every room you were ever in, and who has read what.</li>
          <li>Your name and picture in the rooms’ lists of members.</li>
        </ul>
        <h2>What remains</h2>
        <ul>
          <li>Your user ID, so that nobody else can ever have it, and that it was in rooms: they are built on that.</li>
          <li>Settings of rooms that you made and that are in force: a room’s name, its encryption, its lifetime.</li>
          <li>What others have received, what they wrote about you, and backups that the operator has made.</li>
        </ul>
      </section>
      <section>
        <h2>It cannot be undone</h2>
        <form method="post">
          ${visit.key}
          <label for="name">To be sure, enter your user ID: ${visit.visitor.userId}</label>
          <input id="name" name="name" required autocapitalize="none" autocomplete="off" spellcheck="false" />
          <label for="password">Your password</label>
          ${passwordField()}
          <button class="bad">Erase my account</button>
        </form>
      </section>`,
    problem ? { status: problem.status } : {},
  )
}
