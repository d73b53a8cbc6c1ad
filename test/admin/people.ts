import { setAccountFlags } from '../../src/storage/accounts.ts'
import { transaction } from '../../src/storage/database.ts'
import { type Person, register } from '../harness/people.ts'
import { type TestServer } from '../harness/server.ts'

/** Registers somebody and makes them an administrator, as the command line would. */
export async function registerAdmin(server: TestServer, name?: string): Promise<Person> {
  const person = await register(server, name)
  const userNumber = await server.ctx.numbers.user(person.userId as never) // Its own answer is a user ID.
  await transaction(server.ctx.db, tx => setAccountFlags(tx, userNumber, { isAdmin: true }))
  // The server remembers sessions, not accounts.
  return person.login()
}
