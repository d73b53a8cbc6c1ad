import { setTimeout as sleep } from 'node:timers/promises'
import { type JsonObject } from '../../src/protocol/json.ts'

/** Asks until the answer's status is one of those of work that has ended. */
export async function untilEnded(ask: () => Promise<JsonObject>): Promise<JsonObject> {
  for (let tries = 0; tries < 500; tries++) {
    const answer = await ask()
    if (answer['status'] === 'complete' || answer['status'] === 'failed') return answer
    await sleep(20)
  }
  throw new Error('the job did not end')
}
