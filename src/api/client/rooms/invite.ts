import Type from 'typebox'
import { roomId, schemas } from '../../../http/decoders.ts'
import { endpoint } from '../../../http/endpoint.ts'
import { missingParam } from '../../../errors.ts'
import { refuseThirdPartyInvites } from '../../../rooms/create.ts'
import { invite } from '../../../rooms/invite.ts'
import { reasonLimitBytes } from '../../../rooms/member-content.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidinvite */
export const inviteToRoom = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/invite',
  auth: 'user',
  limit: 'inviteIssuer',
  params: { roomId },
  canonicalBody: true,
  body: Type.Object({
    user_id: Type.Optional(schemas.userId),
    // The other form of this request: an invitation by address.
    medium: Type.Optional(Type.String()),
    reason: Type.Optional(schemas.text(reasonLimitBytes)),
  }),
  handle: async (ctx, { caller, params, body }) => {
    if (body.medium !== undefined) refuseThirdPartyInvites([body])
    if (body.user_id === undefined) throw missingParam('user_id')
    await invite(ctx, caller, params.roomId, body.user_id, { reason: body.reason })
    return {}
  },
})
