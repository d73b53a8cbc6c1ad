import { createHmac } from 'node:crypto'
import { type Context } from '../context.ts'
import { type User } from '../http/endpoint.ts'
import { type JsonObject } from '../protocol/json.ts'

const nameLetters = 12

/**
 * Credentials for the TURN server, or an empty object where there is none. With a shared secret they are good for a limited
 * time and name nobody: the TURN server need not know whose call it relays.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3voipturnserver
 */
export function turnCredentials(ctx: Context, user: User): JsonObject {
  const { uris, sharedSecret, username, password, ttl, allowGuests } = ctx.config.turn
  if (uris.length === 0 || (user.isGuest && !allowGuests)) return {}
  const seconds = Math.floor(ttl / 1000)
  if (sharedSecret !== null) {
    const expires = Math.floor(ctx.clock.now() / 1000) + seconds
    const name = `${expires}:${ctx.random.letters(nameLetters)}`
    // HMAC-SHA1 is what TURN servers compute: draft-uberti-behave-turn-rest.
    const signature = createHmac('sha1', sharedSecret).update(name).digest('base64')
    return { username: name, password: signature, uris: [...uris], ttl: seconds }
  }
  if (username === null || password === null) return {}
  return { username, password, uris: [...uris], ttl: seconds }
}
