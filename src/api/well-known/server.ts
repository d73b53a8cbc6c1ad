import { notFound } from '../../errors.ts'
import { endpoint } from '../../http/endpoint.ts'

/**
 * Where other servers find this one; nothing while federation is off or `public_base_url` is not set.
 * https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver
 */
export const server = endpoint({
  method: 'GET',
  path: '/.well-known/matrix/server',
  auth: 'none',
  limit: null,
  handle: ({ config }) => {
    if (config.publicBaseUrl === null || !config.federation.enabled) throw notFound()
    const url = new URL(config.publicBaseUrl)
    // Without a port other servers would look for SRV records and then use 8448.
    const port = url.port === '' ? (url.protocol === 'http:' ? '80' : '443') : url.port
    return { 'm.server': `${url.hostname}:${port}` }
  },
})
