import { hash, parseOptions, verify } from '@node-rs/argon2'
import { type Context, perServer } from '../context.ts'
import { limitExceeded, MatrixError } from '../errors.ts'

/** Shorter passwords are refused, in characters as people count them. */
export const passwordLeastCharacters = 8
/** Longer passwords are refused before they are hashed: hashing is slow on purpose. */
export const passwordLimitBytes = 512
/** Hashes computed at once; each takes a core and 19 MiB. */
const concurrentHashes = 2
/** Hashes that may wait; more are refused. */
const waitingHashes = 32
/** What a client that was refused is told to wait. */
const overloadRetryMs = 5_000

/** argon2id, by the recommendation of RFC 9106 and OWASP for servers: 19 MiB, two passes, one lane. */
const strength = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const

/** Parameters of the hash; `memoryCost` in KiB. */
export interface HashStrength {
  readonly memoryCost: number
  readonly timeCost: number
  readonly parallelism: number
}

class PasswordHasher {
  #strength: HashStrength = strength
  #dummy: Promise<string> | null = null
  #running = 0
  readonly #waiting: (() => void)[] = []

  readonly #secretOfDummy: string

  constructor(ctx: Context) {
    this.#secretOfDummy = ctx.random.token()
  }

  get strength(): HashStrength {
    return this.#strength
  }

  weaken(weaker: HashStrength): void {
    this.#strength = weaker
    this.#dummy = null
  }

  hash(password: string): Promise<string> {
    return this.#inTurn(() => hash(password, this.#strength))
  }

  async verify(passwordHash: string | null, password: string): Promise<boolean> {
    // Where there is nothing to compare with, the same work is done, so that its absence takes the same time.
    const compared = passwordHash ?? (await this.#dummyHash())
    const isRight = await this.#inTurn(() => verify(compared, password))
    return isRight && passwordHash !== null
  }

  /** The hash of a secret that nobody knows, made when it is first needed. */
  async #dummyHash(): Promise<string> {
    this.#dummy ??= this.hash(this.#secretOfDummy).catch((error: unknown) => {
      this.#dummy = null
      throw error
    })
    return this.#dummy
  }

  /** Hashing runs off the main thread; what is limited here is how much of the machine it takes. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= concurrentHashes) {
      if (this.#waiting.length >= waitingHashes) throw limitExceeded(overloadRetryMs)
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    } else {
      this.#running += 1
    }
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#running -= 1
    }
  }
}

const hasherOf = perServer(ctx => new PasswordHasher(ctx))

/** Hashes with less effort from now on: for tests, which make many accounts. */
export function weakenPasswordHashes(ctx: Context, weaker: HashStrength): void {
  hasherOf(ctx).weaken(weaker)
}

/** A PHC string of argon2id. Throws `limitExceeded` when too many hashes are waiting. */
export function hashPassword(ctx: Context, password: string): Promise<string> {
  return hasherOf(ctx).hash(password)
}

/**
 * True if the password is the hash's. With `null`, for a user who is unknown or has no password, the answer is false after
 * the same work. Throws `limitExceeded` when too many hashes are waiting.
 */
export async function verifyPassword(ctx: Context, passwordHash: string | null, password: string): Promise<boolean> {
  if (Buffer.byteLength(password) > passwordLimitBytes) return false
  return hasherOf(ctx).verify(passwordHash, password)
}

/** True for a hash that was made with other parameters than passwords are hashed with now. */
export function isOutdatedHash(ctx: Context, passwordHash: string): boolean {
  const made = parseOptions(passwordHash)
  const wanted = hasherOf(ctx).strength
  return (
    made.memoryCost !== wanted.memoryCost ||
    made.timeCost !== wanted.timeCost ||
    made.parallelism !== wanted.parallelism
  )
}

/**
 * Throws `M_WEAK_PASSWORD` for a password that is too short or too long to be set. There are no rules of composition, which
 * only make people write passwords down. https://spec.matrix.org/v1.19/client-server-api/#password-management
 */
export function checkNewPassword(password: string): void {
  // By code points, not UTF-16 units.
  if ([...password].length < passwordLeastCharacters) {
    throw new MatrixError('M_WEAK_PASSWORD', `The password must have at least ${passwordLeastCharacters} characters`)
  }
  if (Buffer.byteLength(password) > passwordLimitBytes) {
    throw new MatrixError('M_WEAK_PASSWORD', `The password must have at most ${passwordLimitBytes} bytes`)
  }
}
