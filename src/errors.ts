import { type JsonObject } from './protocol/json.ts'

/**
 * The one table from error code to HTTP status. Codes of the client-server API's common list and of its modules.
 * https://spec.matrix.org/v1.19/client-server-api/#standard-error-response
 */
export const statusOfErrcode = {
  M_FORBIDDEN: 403,
  M_UNKNOWN_TOKEN: 401,
  M_MISSING_TOKEN: 401,
  M_USER_LOCKED: 401,
  M_USER_SUSPENDED: 403,
  M_USER_DEACTIVATED: 403,
  M_BAD_JSON: 400,
  M_NOT_JSON: 400,
  M_NOT_FOUND: 404,
  M_LIMIT_EXCEEDED: 429,
  M_UNRECOGNIZED: 404,
  M_UNKNOWN: 400,
  M_UNAUTHORIZED: 401,
  M_USER_IN_USE: 400,
  M_INVALID_USERNAME: 400,
  M_ROOM_IN_USE: 400,
  M_BAD_ALIAS: 400,
  M_INVITE_BLOCKED: 403,
  M_INVALID_ROOM_STATE: 400,
  M_THREEPID_DENIED: 403,
  M_THREEPID_AUTH_FAILED: 400,
  M_UNSUPPORTED_ROOM_VERSION: 400,
  M_INCOMPATIBLE_ROOM_VERSION: 400,
  M_BAD_STATE: 400,
  M_GUEST_ACCESS_FORBIDDEN: 403,
  M_CAPTCHA_NEEDED: 400,
  M_MISSING_PARAM: 400,
  M_INVALID_PARAM: 400,
  M_TOO_LARGE: 413,
  M_EXCLUSIVE: 400,
  M_RESOURCE_LIMIT_EXCEEDED: 403,
  M_CANNOT_LEAVE_SERVER_NOTICE_ROOM: 403,
  M_WEAK_PASSWORD: 400,
  M_UNABLE_TO_AUTHORISE_JOIN: 400,
  M_UNABLE_TO_GRANT_JOIN: 400,
  M_DUPLICATE_ANNOTATION: 400,
  M_NOT_YET_UPLOADED: 504,
  M_CANNOT_OVERWRITE_MEDIA: 409,
  M_UNKNOWN_POS: 400,
  M_URL_NOT_SET: 400,
  M_WRONG_ROOM_KEYS_VERSION: 403,
  M_INVALID_SIGNATURE: 400,
  M_KEY_TOO_LARGE: 400,
  M_PROFILE_TOO_LARGE: 400,
  M_APPSERVICE_LOGIN_UNSUPPORTED: 400,
  M_CONNECTION_FAILED: 502,
  M_CONNECTION_TIMEOUT: 504,
} as const

export type Errcode = keyof typeof statusOfErrcode

/** An answer that refuses: `errcode` and `error` as JSON, with any fields that the code's module adds. */
export class MatrixError extends Error {
  readonly errcode: Errcode
  readonly status: number
  readonly fields: JsonObject
  readonly headers: Readonly<Record<string, string>>

  constructor(
    errcode: Errcode,
    message: string,
    more: { status?: number; fields?: JsonObject; headers?: Record<string, string> } = {},
  ) {
    super(message)
    this.errcode = errcode
    this.status = more.status ?? statusOfErrcode[errcode]
    this.fields = more.fields ?? {}
    this.headers = more.headers ?? {}
  }

  /** True when nothing was wrong with what was asked for, and the same may succeed in a moment. */
  get isPassing(): boolean {
    return this.status === 503
  }

  /** The body of the answer. */
  toJSON(): JsonObject {
    return { errcode: this.errcode, error: this.message, ...this.fields }
  }
}

/** 403. The wording must not tell apart what does not exist from what is closed to the caller. */
export const forbidden = (message = 'You are not allowed to do that'): MatrixError =>
  new MatrixError('M_FORBIDDEN', message)

/** 403 for a room that is unknown or closed to the caller: the same words for both. */
export const notInRoom = (): MatrixError => new MatrixError('M_FORBIDDEN', 'You are not in that room')

/** 404. */
export const notFound = (message = 'Not found'): MatrixError => new MatrixError('M_NOT_FOUND', message)

/** 400: JSON of the wrong shape. */
export const badJson = (message: string): MatrixError => new MatrixError('M_BAD_JSON', message)

/** 400: the body is not JSON. */
export const notJson = (message = 'The request body is not valid JSON'): MatrixError =>
  new MatrixError('M_NOT_JSON', message)

/** 400: a required parameter is absent. */
export const missingParam = (name: string): MatrixError =>
  new MatrixError('M_MISSING_PARAM', `Missing parameter: ${name}`)

/** 400: a parameter has a value that it cannot have. */
export const invalidParam = (message: string): MatrixError => new MatrixError('M_INVALID_PARAM', message)

/** 400: the alias belongs to another room. */
export const roomInUse = (message = 'That alias is taken'): MatrixError => new MatrixError('M_ROOM_IN_USE', message)

/** 413. */
export const tooLarge = (message = 'The request is too large'): MatrixError => new MatrixError('M_TOO_LARGE', message)

/** 429. `retryAfterMs` goes into the body and, in whole seconds, into `Retry-After`. */
export const limitExceeded = (retryAfterMs: number): MatrixError =>
  new MatrixError('M_LIMIT_EXCEEDED', 'Too many requests', {
    fields: { retry_after_ms: Math.ceil(retryAfterMs) },
    headers: { 'Retry-After': String(Math.ceil(retryAfterMs / 1000)) },
  })

/** 404 for a path, 405 for a method that this server does not have. */
export const unrecognized = (status: 404 | 405 = 404): MatrixError =>
  new MatrixError('M_UNRECOGNIZED', 'Unrecognized request', { status })

/** 401: no access token was sent. */
export const missingToken = (): MatrixError => new MatrixError('M_MISSING_TOKEN', 'Missing access token')

/** 401: the access token is unknown, expired or revoked. `softLogout` tells the client to keep its keys. */
export const unknownToken = (softLogout = false): MatrixError =>
  new MatrixError('M_UNKNOWN_TOKEN', 'Unknown access token', { fields: softLogout ? { soft_logout: true } : {} })

/** 503: the server cannot answer now (the database is away, or it is shutting down). Nothing was done. */
export const unavailable = (message = 'The server cannot answer now; try again'): MatrixError =>
  new MatrixError('M_UNKNOWN', message, { status: 503, headers: { 'Retry-After': '1' } })

/** The code of a system error (`ENOENT` and its like); `null` for anything else. Not by `instanceof`: tests have other realms. */
export function codeOf(error: unknown): string | null {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null
  return typeof code === 'string' ? code : null
}
