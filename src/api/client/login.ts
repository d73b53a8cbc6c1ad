import Type from 'typebox'
import { logIn, loginFlows } from '../../accounts/login.ts'
import { sessionAnswer, sessionRequestOf } from '../../accounts/sessions.ts'
import { type Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { type JsonObject } from '../../protocol/json.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3login */
export const getLogin = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/login',
  auth: 'none',
  limit: 'anonymous',
  handle: ctx => ({ flows: loginFlows(ctx) }),
})

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login */
export const postLogin = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/login',
  auth: 'none',
  limit: 'login',
  body: Type.Object({
    type: Type.String(),
    device_id: Type.Optional(Type.String()),
    initial_device_display_name: Type.Optional(Type.String()),
    refresh_token: Type.Optional(Type.Boolean()),
  }),
  handle: async (ctx, { body }) => {
    const session = await logIn(ctx, body, sessionRequestOf(body))
    return { ...sessionAnswer(session), ...wellKnown(ctx) }
  },
})

/** Where the client should go from now on, if the operator says so. */
function wellKnown(ctx: Context): JsonObject {
  const { publicBaseUrl } = ctx.config
  return publicBaseUrl === null ? {} : { well_known: { 'm.homeserver': { base_url: publicBaseUrl } } }
}
