import { proveOwnPassword } from '../../accounts/password-login.ts'
import { newRecoveryCode } from '../../accounts/recovery.ts'
import { forbidden } from '../../errors.ts'
import { endpoint } from '../../http/endpoint.ts'
import { shownCode } from './recovery-code.ts'
import { accountPage, take } from './signed-in.ts'

/** Shows a new recovery code to whoever gives their password again: with the code somebody could take the account. */
export const postAccountRecovery = endpoint({
  method: 'POST',
  path: '/account/recovery-code',
  auth: 'none',
  limit: 'anonymous',
  body: 'stream',
  handle: (ctx, request) =>
    take(ctx, request, async (visit, fields) => {
      const { userId, userNumber } = visit.visitor
      if (!(await proveOwnPassword(ctx, userId, {}, fields.get('password') ?? ''))) {
        throw forbidden('That is not your password')
      }
      return accountPage('A new recovery code', visit, null, shownCode(await newRecoveryCode(ctx, userNumber)))
    }),
})
