import Type from 'typebox'
import { requireInteractiveAuth } from '../../accounts/interactive-auth.ts'
import { checkNewPassword } from '../../accounts/passwords.ts'
import { drawRecoveryCode } from '../../accounts/recovery.ts'
import {
  availablePseudonym, availableUserId, register, registrationFlows, usingProof,
} from '../../accounts/registration.ts' // prettier-ignore
import { sessionAnswer, sessionRequestOf } from '../../accounts/sessions.ts'
import { forbidden } from '../../errors.ts'
import { oneOf, withDefault } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'
import { takeLimit } from '../../rooms/actor.ts'

const query = { kind: withDefault(oneOf('user', 'guest'), 'user') }

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3register */
export const postRegister = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/register',
  auth: 'none',
  limit: 'anonymous',
  query,
  body: Type.Object({
    username: Type.Optional(Type.String()),
    password: Type.Optional(Type.String()),
    device_id: Type.Optional(Type.String()),
    initial_device_display_name: Type.Optional(Type.String()),
    inhibit_login: Type.Optional(Type.Boolean()),
    refresh_token: Type.Optional(Type.Boolean()),
  }),
  handle: async (ctx, { query, body, addressKey }) => {
    if (query.kind === 'guest') throw forbidden('Guests are not admitted')
    const flows = registrationFlows(ctx)
    const session = body.inhibit_login === true ? null : sessionRequestOf(body)
    // What is wrong with the wish is said before anything has to be proved.
    const wanted = body.username === undefined ? null : await availableUserId(ctx, body.username)
    const password = body.password ?? null
    if (password !== null) checkNewPassword(password)
    const operation = 'POST /register'
    const proof = await requireInteractiveAuth(ctx, { operation, user: null, body, flows, addressKey })
    takeLimit(ctx, 'registration', addressKey)
    const userId = wanted ?? (await availablePseudonym(ctx))
    // Without a password nothing else lets its owner back in.
    const recovery = password === null ? drawRecoveryCode(ctx.random) : null
    const account = { userId, password, ...(recovery ? { recoveryHash: recovery.hash } : {}) }
    const opened = await register(ctx, account, session, usingProof(ctx, proof))
    return {
      ...(opened ? sessionAnswer(opened) : { user_id: userId }),
      ...(recovery ? { 'lethe.recovery_code': recovery.code } : {}),
    }
  },
})
