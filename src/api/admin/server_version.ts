import { endpoint } from '../../http/endpoint.ts'
import { version } from '../../version.ts'

/** What answers here. Tools ask before they sign in. https://element-hq.github.io/synapse/latest/admin_api/version_api.html */
export const getServerVersion = endpoint({
  method: 'GET',
  path: '/_synapse/admin/v1/server_version',
  auth: 'none',
  limit: 'anonymous',
  handle: () => ({ server_version: `Lethe ${version}` }),
})
