import { randomBytes } from 'node:crypto'
import { type Answer } from '../connection.ts'
import { closedLoop } from '../load.ts'
import { personOf, register, sendOnce } from '../register.ts'
import { measureWindows, type Scenario } from '../scenario.ts'

const workers = 4

/** Registrations, interactive authentication and password hashing included. */
export const registerScenario: Scenario = {
  name: 'register',
  title: `register accounts, ${workers} at once`,
  run: async bench => {
    const connections = Array.from({ length: workers }, () => bench.connect())
    const registerOne = async (worker: number): Promise<Answer> => {
      const connection = connections[worker] ?? bench.connect()
      const password = randomBytes(18).toString('base64url')
      const answer = await register(sendOnce(connection), bench.options.registration, bench.uniqueName(), password)
      if (answer.status === 200) bench.welcome('crowd', personOf(answer))
      return answer
    }
    const load = (durationMs: number) => closedLoop({ workers, durationMs, operation: registerOne })
    return [await measureWindows(bench, 'register', registerScenario.title, load)]
  },
}
