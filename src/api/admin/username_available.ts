import { availableUserId } from '../../accounts/registration.ts'
import { string } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'

/** Whether a name can still be had, whoever may register. https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#check-username-availability */
export const getUsernameAvailable = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/username_available',
  auth: 'admin',
  limit: 'light',
  query: { username: string },
  handle: async (ctx, { query }) => {
    await availableUserId(ctx, query.username)
    return { available: true }
  },
})
