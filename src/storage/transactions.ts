import { createHash } from 'node:crypto'

/**
 * The 16 bytes under which the answer to a request is found again. The parts are what makes two requests the same one:
 * user, device, path and transaction ID. No part can run into the next.
 */
export function requestHash(parts: readonly (string | null)[]): Buffer {
  return createHash('sha256').update(JSON.stringify(parts)).digest().subarray(0, 16)
}
