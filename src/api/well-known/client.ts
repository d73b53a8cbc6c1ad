import { notFound } from '../../errors.ts'
import { endpoint } from '../../http/endpoint.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../../protocol/json.ts'

/**
 * Where clients find this server. Nothing is said unless `public_base_url` is set: a guess that is wrong sends clients
 * astray, silence makes them use the address they came by. https://spec.matrix.org/v1.19/client-server-api/#well-known-uri
 */
export const client = endpoint({
  method: 'GET',
  path: '/.well-known/matrix/client',
  auth: 'none',
  limit: null,
  handle: ({ config }): JsonObject => {
    if (config.publicBaseUrl === null) throw notFound()
    return { ...jsonCopy(config.wellKnown.clientExtra), 'm.homeserver': { base_url: config.publicBaseUrl } }
  },
})

/** Settings are frozen; an answer is not. */
function jsonCopy(value: unknown): JsonObject {
  // What the configuration's schema calls JSON.
  const copy = structuredClone(value) as JsonValue
  return isJsonObject(copy) ? copy : {}
}
