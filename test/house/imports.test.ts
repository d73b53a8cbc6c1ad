import { describe, expect, it } from '@jest/globals'
import { type Import, importsOf, type SourceFile, sourceFiles } from './sources.ts'

/**
 * Who may import whom; arrows point down only. A layer may import itself and what its list names; `types:` in front means
 * that only types may be taken.
 */
const base = ['config', 'errors', 'log', 'clock', 'random', 'limiter', 'remote', 'version']
/** How long what is written is to be readable is part of what is written. */
const lower = [...base, 'context', 'protocol', 'storage', 'privacy/seal.ts']
/** How an endpoint is declared is a vocabulary that services share with the routes: `User`, decoders, `schemas`. */
const declarations = ['http/endpoint.ts', 'http/decoders.ts']
const middle = ['rooms', 'encryption', 'media', 'push']
const allowed: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  base: ['types:protocol', ...base, 'protocol/identifiers.ts', 'protocol/room-versions.ts'],
  context: ['types:protocol', 'types:storage', 'types:privacy', ...base],
  storage: [...base, 'protocol', 'privacy/seal.ts', 'privacy/lifetimes.ts', 'types:privacy'],
  rooms: [...lower, ...declarations],
  encryption: [...lower, ...declarations, ...middle],
  media: [...lower, ...declarations, ...middle],
  push: [...lower, ...declarations, ...middle],
  accounts: [...lower, ...declarations, ...middle],
  // Unread counts are what the push rules say; device lists, key counts and to-device messages are the encryption's.
  sync: [...lower, ...declarations, 'rooms', 'encryption', 'push/rules.ts'],
  retention: [...lower, ...declarations, ...middle, 'accounts', 'sync', 'privacy', 'appservices'],
  privacy: [...lower, ...declarations, ...middle, 'accounts', 'sync', 'retention', 'appservices'],
  appservices: [...lower, ...declarations, ...middle, 'accounts', 'sync', 'retention', 'privacy'],
  admin: [...lower, ...declarations, ...middle, 'accounts', 'sync', 'retention', 'privacy', 'types:http'],
  http: [...base, 'context', 'types:storage', 'protocol'],
  federation: [...lower, ...middle, 'accounts', 'sync', 'retention', 'privacy', 'appservices', 'http'],
  api: [...lower, ...middle, 'accounts', 'sync', 'retention', 'privacy', 'appservices', 'admin', 'http'],
}
/** The composition root and the commands see everything. */
const roots = new Set(['server', 'cli', 'main', 'signing-key', 'loops'])

function layerOf(path: string): string {
  const [first = ''] = path.split('/')
  const name = first.replace(/\.ts$/, '')
  return base.includes(name) ? 'base' : name
}

function mayImport(file: SourceFile, wanted: Import): boolean {
  const layer = layerOf(file.path)
  if (roots.has(layer)) return true
  if (layerOf(wanted.target) === layer) return true
  return (allowed[layer] ?? []).some(rule => {
    const isTypesOnly = rule.startsWith('types:')
    const path = isTypesOnly ? rule.slice('types:'.length) : rule
    if (isTypesOnly && !wanted.isTypeOnly) return false
    return path.endsWith('.ts') ? wanted.target === path : wanted.target.split('/')[0]?.replace(/\.ts$/, '') === path
  })
}

const files = sourceFiles()

describe('imports', () => {
  it('knows the layer of every file', () => {
    const known = new Set([...Object.keys(allowed), ...roots])
    expect(files.map(file => layerOf(file.path)).filter(layer => !known.has(layer))).toEqual([])
  })

  it('point down only', () => {
    const wrong = files.flatMap(file =>
      importsOf(file)
        .filter(wanted => wanted.isOwn && !mayImport(file, wanted))
        .map(wanted => `${file.path} → ${wanted.target}`),
    )
    expect(wrong).toEqual([])
  })

  it('name files with their ending', () => {
    const wrong = files.flatMap(file =>
      importsOf(file)
        .filter(wanted => wanted.isOwn && !/\.(ts|json)$/.test(wanted.target))
        .map(wanted => `${file.path} → ${wanted.target}`),
    )
    expect(wrong).toEqual([])
  })

  it('let the pure core use node:crypto alone', () => {
    const wrong = files
      .filter(file => file.path.startsWith('protocol/'))
      .flatMap(file =>
        importsOf(file)
          .filter(wanted => !wanted.isOwn && wanted.target !== 'node:crypto')
          .map(wanted => `${file.path} → ${wanted.target}`),
      )
    expect(wrong).toEqual([])
  })

  it('keep the database driver inside storage, and Express inside http', () => {
    const homes: Readonly<Record<string, string>> = { pg: 'storage', kysely: 'storage', express: 'http', jsonwebtoken: 'accounts' } // prettier-ignore
    const wrong = files.flatMap(file =>
      importsOf(file)
        .filter(wanted => !wanted.isTypeOnly && homes[wanted.target] !== undefined)
        .filter(wanted => layerOf(file.path) !== homes[wanted.target])
        .map(wanted => `${file.path} → ${wanted.target}`),
    )
    expect(wrong).toEqual([])
  })

  it('let routes read the database but not write to it', () => {
    // A writer takes a `Tx`; a route that never names one cannot call it.
    const wrong = files
      .filter(file => file.path.startsWith('api/'))
      .flatMap(file =>
        importsOf(file)
          .filter(wanted => wanted.target === 'storage/database.ts')
          .flatMap(wanted => wanted.names)
          .filter(name => name === 'Tx' || name === 'transaction')
          .map(name => `${file.path} → ${name}`),
      )
    expect(wrong).toEqual([])
  })
})
