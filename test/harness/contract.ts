import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { PathTrie } from '../../src/http/hot-path.ts'
import { isJsonObject } from '../../src/protocol/json.ts'
import { type Exchange } from './exchange.ts'
import { loadSpec, type Spec, type SpecOperation } from './spec.ts'

/** Holds every exchange against the specification's OpenAPI. */
export interface Contract {
  /** Throws when the answer is not one that the specification allows for the operation. Unknown paths pass. */
  check(exchange: Exchange): void
}

/**
 * Answers that differ from the OpenAPI on purpose, because its files are wrong or incomplete there. The reason stands
 * beside each.
 */
const exceptions: Readonly<Record<string, string>> = {
  'GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey} 200':
    'one of "any object" and "an event": an event is both, so the file refuses every event',
  'GET /_matrix/client/v3/voip/turnServer 200': 'no TURN server is said by an empty object, as clients expect',
}

const tokenErrors: ReadonlySet<unknown> = new Set(['M_MISSING_TOKEN', 'M_UNKNOWN_TOKEN', 'M_USER_LOCKED'])

/** The contract, or `null` where the specification is not at hand. */
export function loadContract(): Contract | null {
  const spec = loadSpec()
  return spec && new SpecContract(spec)
}

class SpecContract implements Contract {
  readonly #ajv: Ajv2020
  readonly #operations = new PathTrie<SpecOperation>()
  readonly #validators = new Map<string, ValidateFunction>()

  constructor(spec: Spec) {
    // The files are OpenAPI with examples and extensions, so strictness about keywords says nothing here.
    this.#ajv = new Ajv2020({ strict: false, validateFormats: false, validateSchema: false, logger: false })
    for (const [address, document] of Object.entries(spec.documents)) {
      if (isJsonObject(document)) this.#ajv.addSchema(document, address)
    }
    const seen = new Set<string>()
    for (const operation of spec.operations) {
      const path = operation.path.replace(/\{(\w+)\}/g, ':$1')
      // Inviting is written down twice, once with and once without an identity server.
      if (!seen.has(`${operation.method} ${path}`)) this.#operations.add(operation.method, path, operation)
      seen.add(`${operation.method} ${path}`)
    }
  }

  check(exchange: Exchange): void {
    const [path = ''] = exchange.target.split('?')
    const match = this.#operations.match(exchange.method, path)
    if (match.kind !== 'found') return
    const operation = match.value
    const name = `${operation.method} ${operation.path} ${exchange.status}`
    if (name in exceptions) return
    // An operation with interactive authentication declares its 401 as the list of stages; a bad token comes before that.
    if (exchange.status === 401 && isJsonObject(exchange.json) && tokenErrors.has(exchange.json['errcode'])) return
    const address = operation.responses[String(exchange.status)]
    if (address === undefined) {
      if (exchange.status < 400) throw new ContractError(`${name}: the specification has no such answer`)
      requireErrorShape(name, exchange)
      return
    }
    if (address === null) return
    const validate = this.#validator(address)
    if (validate(exchange.json)) return
    const [first] = validate.errors ?? []
    throw new ContractError(
      `${name}: the body ${first?.instancePath ?? ''} ${first?.message ?? 'is not valid'} (${first?.schemaPath ?? ''})\n` +
        exchange.bytes.toString('utf8').slice(0, 2_000),
    )
  }

  #validator(address: string): ValidateFunction {
    const known = this.#validators.get(address)
    if (known) return known
    const made = this.#ajv.compile({ $ref: address })
    this.#validators.set(address, made)
    return made
  }
}

/** An answer that breaks the contract with the specification. */
export class ContractError extends Error {
  override readonly name = 'ContractError'
}

/** https://spec.matrix.org/v1.19/client-server-api/#standard-error-response */
export function requireErrorShape(name: string, exchange: Exchange): void {
  const body = exchange.json
  // Interactive authentication answers 401 with its flows; an `errcode` stands there only after a failed stage.
  if (exchange.status === 401 && isJsonObject(body) && Array.isArray(body['flows'])) return
  if (!isJsonObject(body) || typeof body['errcode'] !== 'string' || typeof body['error'] !== 'string') {
    throw new ContractError(`${name}: an error must have "errcode" and "error"`)
  }
}
