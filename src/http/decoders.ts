import Type, { type TSchema } from 'typebox'
import { invalidParam, missingParam } from '../errors.ts'
import { type JsonObject, type JsonValue } from '../protocol/json.ts'
import {
  type DeviceId, type EventId, parseEventId, parseRoomAlias, parseRoomId, parseServerName, parseUserId, type RoomAlias,
  type RoomId, type ServerName, type UserId,
} from '../protocol/identifiers.ts' // prettier-ignore

/**
 * Reads one path or query parameter: what was sent (all values of that name; none: absent), percent-decoded. Throws the
 * `MatrixError` that the spec has for what is wrong.
 */
export interface Decoder<T> {
  // An object and not a plain function: TypeScript puts off inferring from generic functions that return functions, and
  // would lose the types of `optional(string)` and its like in a declaration.
  readonly decode: (values: readonly string[], name: string) => T
  /** What it takes, as JSON Schema; absent: a string. */
  readonly schema?: JsonObject
}

export type Decoders = Readonly<Record<string, Decoder<unknown>>>

export type Decoded<D extends Decoders> = { readonly [Name in keyof D]: D[Name] extends Decoder<infer T> ? T : never }

/** Identifiers and other short strings: 255 bytes, as the spec has it. */
const identifierLimitBytes = 255

function one(values: readonly string[], name: string): string {
  const value = values[0]
  if (value === undefined) throw missingParam(name)
  return value
}

function checked<T>(parse: (text: string) => T | null, schema: JsonObject = { type: 'string' }): Decoder<T> {
  return {
    schema,
    decode: (values, name) => {
      const parsed = parse(one(values, name))
      if (parsed === null) throw invalidParam(`${name} is not valid`)
      return parsed
    },
  }
}

/** What the database can keep: well-formed Unicode without NUL. */
const isStorable = (text: string) => text.isWellFormed() && !text.includes('\0')

/** Any string of at most 255 bytes. */
export const string: Decoder<string> = checked(text =>
  Buffer.byteLength(text) <= identifierLimitBytes && isStorable(text) ? text : null,
)

/** Any string of at most 64 KiB: inline filters. */
export const longString: Decoder<string> = checked(text => (text.length <= 65_536 && isStorable(text) ? text : null))

export const userId: Decoder<UserId> = checked(parseUserId)
export const roomId: Decoder<RoomId> = checked(parseRoomId)
export const eventId: Decoder<EventId> = checked(parseEventId)
export const roomAlias: Decoder<RoomAlias> = checked(parseRoomAlias)
export const serverName: Decoder<ServerName> = checked(parseServerName)

/** A room ID or an alias, as `/join` takes it. */
export const roomIdOrAlias: Decoder<RoomId | RoomAlias> = checked(text => parseRoomId(text) ?? parseRoomAlias(text))

// A device ID is any string; the brand only says where it came from.
export const deviceId: Decoder<DeviceId> = { decode: (values, name) => string.decode(values, name) as DeviceId }

/** A whole number in decimal digits, between the bounds. */
export function integer(bounds: { min?: number; max?: number } = {}): Decoder<number> {
  const { min, max } = bounds
  return {
    schema: {
      type: 'integer',
      ...(min === undefined ? {} : { minimum: min }),
      ...(max === undefined ? {} : { maximum: max }),
    },
    decode: (values, name) => {
      const text = one(values, name)
      const value = /^-?\d{1,16}$/.test(text) ? Number(text) : NaN
      if (!Number.isSafeInteger(value)) throw invalidParam(`${name} must be an integer`)
      if (value < (bounds.min ?? -Infinity) || value > (bounds.max ?? Infinity))
        throw invalidParam(`${name} is out of range`)
      return value
    },
  }
}

/** How many results: absent gives `byDefault`, more than `most` is clamped, negative is refused. */
export function limit(byDefault: number, most: number): Decoder<number> {
  const whole = integer({ min: 0 })
  return {
    schema: { type: 'integer', minimum: 0, default: byDefault },
    decode: (values, name) => (values.length === 0 ? byDefault : Math.min(whole.decode(values, name), most)),
  }
}

export const boolean: Decoder<boolean> = {
  schema: { type: 'boolean' },
  decode: (values, name) => {
    const text = one(values, name)
    if (text === 'true') return true
    if (text === 'false') return false
    throw invalidParam(`${name} must be true or false`)
  },
}

export function oneOf<const T extends string>(...choices: readonly T[]): Decoder<T> {
  // The cast only lets `includes` take any string; what it finds is one of the choices.
  const parse = (text: string) => ((choices as readonly string[]).includes(text) ? (text as T) : null)
  return checked(parse, { type: 'string', enum: [...choices] })
}

/** `undefined` where the parameter is absent. */
export function optional<T>(decoder: Decoder<T>): Decoder<T | undefined> {
  const decode = (values: readonly string[], name: string) =>
    values.length === 0 ? undefined : decoder.decode(values, name)
  return { ...schemaOf(decoder), decode }
}

export function withDefault<T>(decoder: Decoder<T>, byDefault: T): Decoder<T> {
  const decode = (values: readonly string[], name: string) =>
    values.length === 0 ? byDefault : decoder.decode(values, name)
  const isPlain = ['string', 'number', 'boolean'].includes(typeof byDefault)
  return { ...schemaOf(decoder, isPlain ? { default: byDefault as JsonValue } : {}), decode } // Just checked.
}

function schemaOf({ schema = { type: 'string' } }: Decoder<unknown>, more: JsonObject = {}): { schema: JsonObject } {
  return { schema: { ...schema, ...more } }
}

/** Every value of a repeated parameter; at most 100. */
export function list<T>(decoder: Decoder<T>): Decoder<readonly T[]> {
  return {
    schema: { type: 'array', items: schemaOf(decoder).schema, maxItems: 100 },
    decode: (values, name) => {
      if (values.length > 100) throw invalidParam(`${name} is given too often`)
      return values.map(value => decoder.decode([value], name))
    },
  }
}

/** Body schemas for identifiers, of the branded types. */
export const schemas = {
  userId: identifier<UserId>(parseUserId),
  roomId: identifier<RoomId>(parseRoomId),
  eventId: identifier<EventId>(parseEventId),
  roomAlias: identifier<RoomAlias>(parseRoomAlias),
  serverName: identifier<ServerName>(parseServerName),
  /** Any string of at most `bytes` bytes of UTF-8. */
  text: (bytes: number) => Type.Refine(Type.String({ maxLength: bytes }), text => Buffer.byteLength(text) <= bytes),
  /** Any JSON object. */
  object: Type.Record(Type.String(), Type.Any()),
}

function identifier<Id extends string>(parse: (text: string) => Id | null) {
  const checkedString: TSchema = Type.Refine(Type.String(), text => parse(text) !== null)
  return Type.Unsafe<Id>(checkedString)
}
