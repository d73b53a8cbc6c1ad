import { endpoint } from '../../http/endpoint.ts'
import { roomVersions } from '../../protocol/room-versions.ts'

/** https://spec.matrix.org/v1.19/client-server-api/#capabilities-negotiation */
export const capabilities = endpoint({
  method: 'GET',
  path: '/_matrix/client/v3/capabilities',
  auth: 'guest',
  limit: 'light',
  handle: ctx => ({
    capabilities: {
      'm.change_password': { enabled: true },
      'm.room_versions': {
        default: ctx.config.rooms.defaultVersion,
        available: Object.fromEntries(roomVersions.map(({ id, stability }) => [id, stability])),
      },
      'm.set_displayname': { enabled: true },
      'm.set_avatar_url': { enabled: true },
      'm.3pid_changes': { enabled: false },
      'm.get_login_token': { enabled: ctx.config.login.token.enabled },
      'm.profile_fields': { enabled: true },
    },
  }),
})
