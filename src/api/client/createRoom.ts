import Type from 'typebox'
import { schemas } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'
import {
  createRoom as create, initialStateLimit, inviteLimit, nameLimitBytes, refuseThirdPartyInvites, topicLimitBytes,
} from '../../rooms/create.ts' // prettier-ignore

const stateEvent = Type.Object({
  type: schemas.text(255),
  state_key: Type.Optional(schemas.text(255)),
  content: schemas.object,
})

/** https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom */
export const createRoom = endpoint({
  method: 'POST',
  path: '/_matrix/client/v3/createRoom',
  auth: 'user',
  limit: 'createRoom',
  canonicalBody: true,
  body: Type.Object({
    visibility: Type.Optional(Type.Union([Type.Literal('public'), Type.Literal('private')])),
    room_alias_name: Type.Optional(schemas.text(255)),
    name: Type.Optional(schemas.text(nameLimitBytes)),
    topic: Type.Optional(schemas.text(topicLimitBytes)),
    invite: Type.Optional(Type.Array(schemas.userId, { maxItems: inviteLimit })),
    invite_3pid: Type.Optional(Type.Array(Type.Unknown())),
    room_version: Type.Optional(Type.String()),
    creation_content: Type.Optional(schemas.object),
    initial_state: Type.Optional(Type.Array(stateEvent, { maxItems: initialStateLimit })),
    preset: Type.Optional(
      Type.Union([Type.Literal('private_chat'), Type.Literal('public_chat'), Type.Literal('trusted_private_chat')]),
    ),
    is_direct: Type.Optional(Type.Boolean()),
    power_level_content_override: Type.Optional(schemas.object),
  }),
  handle: async (ctx, { caller, body }) => {
    refuseThirdPartyInvites(body.invite_3pid ?? [])
    const roomId = await create(ctx, caller, {
      preset: body.preset,
      isPublic: body.visibility === 'public',
      version: body.room_version,
      aliasName: body.room_alias_name,
      name: body.name,
      topic: body.topic,
      invite: body.invite ?? [],
      isDirect: body.is_direct ?? false,
      creationContent: body.creation_content ?? {},
      initialState: (body.initial_state ?? []).map(({ type, state_key: stateKey, content }) => ({
        type,
        stateKey: stateKey ?? '',
        content,
      })),
      powerLevels: body.power_level_content_override ?? {},
    })
    return { room_id: roomId }
  },
})
