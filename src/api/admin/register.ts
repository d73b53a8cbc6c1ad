import Type from 'typebox'
import { sessionAnswer } from '../../accounts/sessions.ts'
import { newNonce, registerBySecret } from '../../accounts/shared-secret.ts'
import { unrecognized } from '../../errors.ts'
import { endpoint } from '../../http/endpoint.ts'

const path = '/_synapse/admin/v1/register'

/** The nonce that the next request must sign. Synapse's interface, which scripts and test suites speak; it is there only
 *  where the operator has set a secret. https://element-hq.github.io/synapse/latest/admin_api/register_api.html */
export const getAdminRegister = endpoint({
  method: 'GET',
  path,
  auth: 'none',
  isPublic: true,
  limit: 'anonymous',
  handle: ctx => {
    if (ctx.config.registration.sharedSecret === null) throw unrecognized()
    return { nonce: newNonce(ctx) }
  },
})

/** Makes an account for whoever knows the secret. */
export const postAdminRegister = endpoint({
  method: 'POST',
  path,
  auth: 'none',
  isPublic: true,
  limit: 'anonymous',
  body: Type.Object({
    nonce: Type.String(),
    username: Type.String(),
    password: Type.String(),
    displayname: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    mac: Type.String(),
    admin: Type.Optional(Type.Boolean()),
    user_type: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    inhibit_login: Type.Optional(Type.Boolean()),
  }),
  handle: async (ctx, { body }) => {
    if (ctx.config.registration.sharedSecret === null) throw unrecognized()
    const { userId, session } = await registerBySecret(ctx, {
      nonce: body.nonce,
      username: body.username,
      password: body.password,
      displayName: body.displayname ?? null,
      mac: body.mac,
      isAdmin: body.admin === true,
      userType: body.user_type ?? null,
      logsIn: body.inhibit_login !== true,
    })
    return { home_server: ctx.serverName, ...(session ? sessionAnswer(session) : { user_id: userId }) }
  },
})
