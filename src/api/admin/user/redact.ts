import Type from 'typebox'
import { defaultRedactions, orderRedaction } from '../../../admin/redact-user.ts'
import { schemas, userId } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'

/** Milliseconds since the epoch. */
const time = Type.Optional(Type.Union([Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }), Type.Null()]))

/** https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#redact-all-the-events-of-a-user */
export const postUserRedact = endpoint({
  method: 'POST',
  path: '/_synapse/admin/v1/user/:userId/redact',
  auth: 'admin',
  limit: 'light',
  params: { userId },
  body: Type.Object({
    rooms: Type.Array(schemas.roomId, { maxItems: 1_000 }),
    reason: Type.Optional(Type.Union([schemas.text(1_000), Type.Null()])),
    limit: Type.Optional(Type.Union([Type.Integer({ minimum: 1, maximum: 1_000_000 }), Type.Null()])),
    use_admin: Type.Optional(Type.Boolean()),
    after_ts: time,
    before_ts: time,
  }),
  handle: async (ctx, { caller, params, body }) => ({
    redact_id: await orderRedaction(ctx, caller, params.userId, {
      rooms: body.rooms,
      reason: body.reason ?? null,
      limit: body.limit ?? defaultRedactions,
      sinceTs: body.after_ts ?? null,
      untilTs: body.before_ts ?? null,
      asAdmin: body.use_admin === true,
    }),
  }),
})
