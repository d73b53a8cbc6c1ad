import { register } from '../../src/accounts/registration.ts'
import { sessionAnswer } from '../../src/accounts/sessions.ts'
import { userIdOf } from '../../src/protocol/identifiers.ts'
import { Person } from '../harness/people.ts'
import { type TestServer } from '../harness/server.ts'

/** Makes an account and its first device without the routes of registration, for servers that are started with others. */
export async function signIn(server: TestServer, name: string): Promise<Person> {
  const userId = userIdOf(name, server.ctx.serverName)
  if (userId === null) throw new Error('not a name')
  const request = { deviceId: null, displayName: null, canRefresh: false }
  const session = await register(server.ctx, { userId, password: null }, request, async () => undefined)
  if (!session) throw new Error('no session')
  return new Person(server.url, sessionAnswer(session), '')
}
