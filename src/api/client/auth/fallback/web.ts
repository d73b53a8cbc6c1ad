import { completeStageByPage, type Stage } from '../../../../accounts/interactive-auth.ts'
import { MatrixError } from '../../../../errors.ts'
import { oneOf, string } from '../../../../http/decoders.ts'
import { endpoint, type Reply } from '../../../../http/endpoint.ts'
import { readForm } from '../../../pages/form.ts'
import { html, page } from '../../../pages/html.ts'

const params = { authType: oneOf('m.login.password', 'm.login.dummy', 'm.login.registration_token') }
const query = { session: string }
const path = '/_matrix/client/v3/auth/:authType/fallback/web'

/** A page on which a stage can be completed that a client does not know.
 *  https://spec.matrix.org/v1.19/client-server-api/#fallback */
export const getAuthFallback = endpoint({
  method: 'GET',
  path,
  auth: 'none',
  limit: 'anonymous',
  params,
  query,
  handle: (_ctx, { params }) => form(params.authType, null),
})

/** Completes the stage. The form comes back to the address that it has, so the session is in the query again. */
export const postAuthFallback = endpoint({
  method: 'POST',
  path,
  auth: 'none',
  limit: 'login',
  params,
  query,
  body: 'stream',
  handle: async (ctx, { params, query, upload, addressKey }) => {
    const fields = await readForm(upload)
    try {
      await completeStageByPage(ctx, query.session, params.authType, fields.get('answer') ?? '', addressKey)
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error
      return form(params.authType, error)
    }
    return page('Done', html`<p>You can close this window and go back to your client.</p>`, { script: done })
  },
})

/** What the spec has such a page say to the client that opened it. */
const done = `if (window.onAuthDone) { window.onAuthDone(); }
else if (window.opener && window.opener.postMessage) { window.opener.postMessage("authDone", "*"); }`

function form(stage: Stage, problem: MatrixError | null): Reply {
  const message = problem ? html`<p role="alert">${problem.message}</p>` : html``
  return page(
    'Authentication',
    html`${message}
      <form method="post">${question(stage)}<button>Continue</button></form>`,
    problem ? { status: problem.status } : {},
  )
}

function question(stage: Stage) {
  switch (stage) {
    case 'm.login.dummy':
      return html`<p>Nothing is needed.</p>`
    case 'm.login.password':
      return html`<label for="answer">Your password</label>
        <input id="answer" name="answer" type="password" required autocomplete="current-password" />`
    case 'm.login.registration_token':
      return html`<label for="answer">The registration token that you were given</label>
        <input id="answer" name="answer" required autocomplete="off" spellcheck="false" />`
  }
}
