import { createHmac } from 'node:crypto'
import { type Context } from '../context.ts'
import { badJson, forbidden, type Errcode, limitExceeded, MatrixError, missingParam } from '../errors.ts'
import { type User } from '../http/endpoint.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../protocol/json.ts'
import { transaction, type Tx } from '../storage/database.ts'
import {
  deleteInteractiveAuthSession, interactiveAuthSession, type InteractiveAuthSession, putInteractiveAuthSession,
} from '../storage/interactive-auth.ts' // prettier-ignore
import { completeRegistrationToken, lockUsableRegistrationToken } from '../storage/registration-tokens.ts'
import { proveOwnPassword } from './password-login.ts'
import { isStorable } from './text.ts'
import { tokenHash } from './tokens.ts'

/** The stages that this server knows. https://spec.matrix.org/v1.19/client-server-api/#authentication-types */
export type Stage = 'm.login.password' | 'm.login.dummy' | 'm.login.registration_token'

/** Stages to be completed in this order. */
export type Flow = readonly Stage[]

/** For operations of signed-in users: they show again that they know their password. */
export const passwordFlows: readonly Flow[] = [['m.login.password']]

/** How long a client may take over the stages. */
const sessionLifetimeMs = 60 * 60 * 1000

export interface InteractiveRequest {
  /** What is to be done, by method and path: a proof given for one operation is worth nothing for another. */
  readonly operation: string
  /** Who asks; `null` for registration. */
  readonly user: User | null
  /** The request's body, `auth` included. What the path says and matters (a device ID) belongs in it too. */
  readonly body: JsonObject
  readonly flows: readonly Flow[]
  /** A key for the address of the caller, for the limit on guessed tokens. */
  readonly addressKey: string
}

/** Shows that all stages of one flow were completed, for this operation, by this user, over this body. */
export interface Proof {
  readonly sessionHash: Buffer | null
  /** The registration token to be used up. */
  readonly registrationToken: string | null
}

/**
 * 401: more stages are wanted. A plain challenge is no failure and has no error code; one that answers a failed stage has.
 * https://spec.matrix.org/v1.19/client-server-api/#user-interactive-api-in-the-rest-api
 */
export class InteractiveAuthRequired extends MatrixError {
  readonly #isFailure: boolean

  constructor(fields: JsonObject, failure: { readonly errcode: Errcode; readonly message: string } | null) {
    super(failure?.errcode ?? 'M_UNAUTHORIZED', failure?.message ?? 'Interactive authentication required', {
      status: 401,
      fields,
    })
    this.#isFailure = failure !== null
  }

  override toJSON(): JsonObject {
    return this.#isFailure ? super.toJSON() : { ...this.fields }
  }
}

/** A request under way: the session of it that is kept, if any, and what is proved so far. */
interface Progress {
  /** The name that the client knows; `null` if it named none. */
  readonly session: string | null
  readonly stored: InteractiveAuthSession | null
  readonly completed: readonly Stage[]
  readonly token: string | null
}

/**
 * Returns when the request's `auth` completes a flow, alone or with what its session holds; otherwise throws the 401 that
 * says what is wanted. The proof is used up by `useProof` in the transaction that does the work.
 *
 * A session belongs to one operation and one user; for others it throws `forbidden`. What was proved over one body is not
 * held to be proved over another: then the stages begin again. Clients may leave `session` out.
 * https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api
 */
export async function requireInteractiveAuth(ctx: Context, request: InteractiveRequest): Promise<Proof> {
  const auth = request.body.auth
  if (auth === undefined || auth === null) return challenge(ctx, request, nothingDone, null)
  if (!isJsonObject(auth)) throw badJson('auth must be an object')
  let progress = await readProgress(ctx, request, auth)
  const { type } = auth
  if (type !== undefined && typeof type !== 'string') throw badJson('auth.type must be a string')
  if (type !== undefined && !progress.completed.some(stage => stage === type)) {
    const stage = nextStage(request.flows, progress.completed, type)
    if (stage === null) {
      return challenge(ctx, request, progress, {
        errcode: 'M_UNRECOGNIZED',
        message: 'Not one of the stages wanted now',
      })
    }
    const outcome = await attempt(ctx, request, progress, stage, auth)
    if (outcome.failure) return challenge(ctx, request, progress, outcome.failure)
    progress = outcome.progress
  }
  const isComplete = request.flows.some(flow => isSameSequence(flow, progress.completed))
  if (!isComplete) return challenge(ctx, request, progress, null)
  return {
    sessionHash: progress.stored && progress.session !== null ? tokenHash(progress.session) : null,
    registrationToken: progress.token,
  }
}

/**
 * Completes a stage for a session whose client has sent somebody to a page for it; the client then asks again with the
 * session alone. Throws `forbidden` if the answer is wrong or the session is not known.
 * https://spec.matrix.org/v1.19/client-server-api/#fallback
 */
export async function completeStageByPage(
  ctx: Context,
  session: string,
  stage: Stage,
  answer: string,
  addressKey: string,
): Promise<void> {
  const stored = await interactiveAuthSession(ctx.db.kysely, tokenHash(session), ctx.clock.now())
  if (!stored) throw forbidden('This authentication has expired: begin again in your client')
  if (stored.completed.includes(stage)) return
  const userId = stored.userNumber === null ? null : await ctx.numbers.userId(stored.userNumber)
  if (stage === 'm.login.password') {
    if (userId === null || !(await proveOwnPassword(ctx, userId, {}, answer))) throw forbidden('Invalid password')
  }
  const token = stage === 'm.login.registration_token' ? answer : stored.token
  if (stage === 'm.login.registration_token') limitTokenChecks(ctx, addressKey)
  const isRight = await transaction(ctx.db, async tx => {
    if (stage === 'm.login.registration_token' && !(await mayUseToken(ctx, tx, answer, session))) return false
    await putInteractiveAuthSession(tx, tokenHash(session), {
      ...stored,
      completed: [...stored.completed, stage],
      token,
    })
    return true
  })
  if (isRight) return
  ctx.limiter.take('registrationTokenCheck', addressKey)
  throw forbidden('The registration token is not valid')
}

const nothingDone: Progress = { session: null, stored: null, completed: [], token: null }

/**
 * Uses up a proof: its session ends, its registration token counts one use more. Throws `forbidden` if either is gone
 * (another request with the same proof was faster): nothing may be done then.
 */
export async function useProof(ctx: Context, tx: Tx, proof: Proof): Promise<void> {
  if (proof.sessionHash && !(await deleteInteractiveAuthSession(tx, proof.sessionHash))) {
    throw forbidden('This authentication was used already')
  }
  if (proof.registrationToken === null) return
  if (!(await completeRegistrationToken(tx, proof.registrationToken, ctx.clock.now()))) {
    throw forbidden('The registration token is not valid')
  }
}

async function readProgress(ctx: Context, request: InteractiveRequest, auth: JsonObject): Promise<Progress> {
  const session = auth.session ?? null
  if (session !== null && typeof session !== 'string') throw badJson('auth.session must be a string')
  if (session === null || session === '') return nothingDone
  const stored = await interactiveAuthSession(ctx.db.kysely, tokenHash(session), ctx.clock.now())
  if (!stored) return nothingDone
  if (stored.operation !== request.operation || stored.userNumber !== (request.user?.userNumber ?? null)) {
    throw forbidden('The session belongs to another request')
  }
  const isSameBody = stored.bodyHash.equals(bodyHash(session, request.body))
  return {
    session,
    stored,
    // The column holds nothing but stages that were completed here.
    completed: isSameBody ? (stored.completed as readonly Stage[]) : [],
    token: isSameBody ? stored.token : null,
  }
}

/** The stage of that name, if some flow wants it next. */
function nextStage(flows: readonly Flow[], completed: readonly Stage[], type: string): Stage | null {
  for (const flow of flows) {
    const stage = flow[completed.length]
    if (stage === type && isSameSequence(flow.slice(0, completed.length), completed)) return stage
  }
  return null
}

function isSameSequence(flow: Flow, completed: readonly Stage[]): boolean {
  return flow.length === completed.length && flow.every((stage, index) => stage === completed[index])
}

interface Failure {
  readonly errcode: Errcode
  readonly message: string
}

type Attempt = { readonly progress: Progress; readonly failure: null } | { readonly failure: Failure }

/** Tries a stage. What a session has achieved is written down at once; without a session it is worth this request only. */
async function attempt(
  ctx: Context,
  request: InteractiveRequest,
  progress: Progress,
  stage: Stage,
  auth: JsonObject,
): Promise<Attempt> {
  const next: Progress = { ...progress, completed: [...progress.completed, stage] }
  switch (stage) {
    case 'm.login.dummy':
      break
    case 'm.login.password': {
      if (!request.user) throw new Error('A password stage needs somebody whose password it is')
      if (typeof auth.password !== 'string') throw missingParam('auth.password')
      const isRight = await proveOwnPassword(ctx, request.user.userId, auth, auth.password)
      if (!isRight) return { failure: { errcode: 'M_FORBIDDEN', message: 'Invalid password' } }
      break
    }
    case 'm.login.registration_token': {
      if (typeof auth.token !== 'string') throw missingParam('auth.token')
      return attemptToken(ctx, request, next, auth.token)
    }
  }
  if (next.session !== null) await transaction(ctx.db, tx => store(ctx, tx, request, next, next.session))
  return { progress: next, failure: null }
}

async function attemptToken(
  ctx: Context,
  request: InteractiveRequest,
  next: Progress,
  token: string,
): Promise<Attempt> {
  limitTokenChecks(ctx, request.addressKey)
  const { session } = next
  const progress = { ...next, token }
  const isUsable = await transaction(ctx.db, async tx => {
    if (!(await mayUseToken(ctx, tx, token, session))) return false
    if (session !== null) await store(ctx, tx, request, progress, session)
    return true
  })
  if (isUsable) return { progress, failure: null }
  ctx.limiter.take('registrationTokenCheck', request.addressKey)
  return { failure: { errcode: 'M_FORBIDDEN', message: 'The registration token is not valid' } }
}

/** Wrong tokens are counted by address, so that nobody can try many. */
function limitTokenChecks(ctx: Context, addressKey: string): void {
  const waitMs = ctx.limiter.peek('registrationTokenCheck', addressKey)
  if (waitMs > 0) throw limitExceeded(waitMs)
}

/** True if the token has a use for this session, whose own hold on it does not count. */
async function mayUseToken(ctx: Context, tx: Tx, token: string, session: string | null): Promise<boolean> {
  const ownHash = session === null ? null : tokenHash(session)
  return isStorable(token) && lockUsableRegistrationToken(tx, token, ctx.clock.now(), ownHash)
}

/** Throws the 401 that says what is wanted, under a session that will remember what is done already. */
async function challenge(
  ctx: Context,
  request: InteractiveRequest,
  progress: Progress,
  failure: Failure | null,
): Promise<never> {
  const session = progress.session ?? ctx.random.token()
  const isKept = progress.stored?.bodyHash.equals(bodyHash(session, request.body)) === true
  if (!isKept) await transaction(ctx.db, tx => store(ctx, tx, request, progress, session))
  throw new InteractiveAuthRequired(
    {
      flows: request.flows.map(stages => ({ stages: [...stages] })),
      params: {},
      session,
      ...(progress.completed.length > 0 ? { completed: [...progress.completed] } : {}),
    },
    failure,
  )
}

async function store(
  ctx: Context,
  tx: Tx,
  request: InteractiveRequest,
  progress: Progress,
  session: string | null,
): Promise<void> {
  if (session === null) return
  await putInteractiveAuthSession(tx, tokenHash(session), {
    operation: request.operation,
    userNumber: request.user?.userNumber ?? null,
    bodyHash: bodyHash(session, request.body),
    completed: progress.completed,
    token: progress.token,
    // A session that goes on lives no longer for it.
    expiresTs: progress.stored?.expiresTs ?? ctx.clock.now() + sessionLifetimeMs,
  })
}

/**
 * Stands for the body without `auth`, whatever the order of its keys. Keyed with the session's name, which the server does
 * not keep: bodies hold new passwords, and nobody who reads the database may be able to try guesses on them.
 */
function bodyHash(session: string, body: JsonObject): Buffer {
  const rest = Object.entries(body).filter(([key]) => key !== 'auth')
  return createHmac('sha256', session)
    .update(sorted(Object.fromEntries(rest)))
    .digest()
}

function sorted(value: JsonValue): string {
  return JSON.stringify(value, (_key, inner: JsonValue) =>
    isJsonObject(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([left], [right]) => (left < right ? -1 : 1)))
      : inner,
  )
}
