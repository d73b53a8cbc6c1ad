import { type JsonObject } from '../protocol/json.ts'
import { type Decoder } from './decoders.ts'
import { type Endpoint } from './endpoint.ts'

/**
 * An OpenAPI 3.1 document of what the endpoints declare: paths, parameters, bodies, who may call. What they answer is not
 * part of a declaration, and so not of the document.
 */
export function openApiDocument(title: string, version: string, endpoints: readonly Endpoint[]): JsonObject {
  const paths: Record<string, Record<string, JsonObject>> = {}
  for (const endpoint of endpoints) {
    for (const path of endpoint.paths) {
      const operations = (paths[path.replace(/:(\w+)/g, '{$1}')] ??= {})
      operations[endpoint.method.toLowerCase()] = operation(endpoint, path)
    }
  }
  return {
    openapi: '3.1.0',
    info: { title, version },
    paths,
    components: {
      securitySchemes: { accessToken: { type: 'http', scheme: 'bearer' } },
      schemas: {
        Error: {
          type: 'object',
          required: ['errcode', 'error'],
          properties: { errcode: { type: 'string' }, error: { type: 'string' } },
        },
      },
    },
  }
}

function operation(endpoint: Endpoint, path: string): JsonObject {
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name = '']) =>
    parameter('path', name, endpoint.params[name], true),
  )
  const inQuery = Object.entries(endpoint.query).map(([name, decoder]) => parameter('query', name, decoder, isRequired(decoder, name))) // prettier-ignore
  return {
    ...(endpoint.auth === 'none' ? { security: [] } : { security: [{ accessToken: [] }] }),
    parameters: [...inPath, ...inQuery],
    ...(endpoint.bodySchema === null
      ? {}
      : {
          requestBody: {
            required: 'required' in endpoint.bodySchema,
            // A schema is JSON Schema but for the functions in it, which JSON leaves out.
            content: { 'application/json': { schema: JSON.parse(JSON.stringify(endpoint.bodySchema)) as JsonObject } },
          },
        }),
    responses: {
      // What is made is answered with 201 by some.
      '2XX': { description: 'Done', content: { 'application/json': { schema: { type: 'object' } } } },
      default: {
        description: 'Refused',
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    },
  }
}

function parameter(
  place: 'path' | 'query',
  name: string,
  decoder: Decoder<unknown> | undefined,
  required: boolean,
): JsonObject {
  return { in: place, name, required, schema: decoder?.schema ?? { type: 'string' } }
}

function isRequired(decoder: Decoder<unknown>, name: string): boolean {
  try {
    decoder.decode([], name)
    return false
  } catch {
    // A decoder throws for nothing but the value, and here there is none.
    return true
  }
}
