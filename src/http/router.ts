import express, { type Express, type Request, type Response, Router } from 'express'
import { type MountedEndpoint } from './pipeline.ts'

export interface RoutedPath {
  readonly path: string
  readonly mounted: MountedEndpoint
}

type Handle = (mounted: MountedEndpoint, request: Request, response: Response) => void

/** Path segments that one router for a prefix stands for: `/_matrix/client/v3` and, below it, `/rooms`. */
const prefixDepths = [3, 4]

const routing = { caseSensitive: true, strict: true, mergeParams: false }

/** An Express application that says nothing of itself and takes paths as they are written. */
export function createApplication(): Express {
  const application = express()
  application.disable('x-powered-by')
  application.disable('etag')
  application.set('case sensitive routing', true)
  application.set('strict routing', true)
  application.set('query parser', false)
  return application
}

/**
 * The routers of all endpoints, nested by the literal beginnings of their paths, because Express tries the entries of a
 * router one by one. Within a router literals stand before parameters.
 */
export function buildRouter(paths: readonly RoutedPath[], handle: Handle): Router {
  const sorted = [...paths].sort((a, b) => comparePaths(a.path, b.path))
  return nest(
    sorted.map(({ path, mounted }) => ({ segments: path.split('/').slice(1), mounted })),
    0,
    0,
    handle,
  )
}

interface Entry {
  readonly segments: readonly string[]
  readonly mounted: MountedEndpoint
}

function nest(entries: readonly Entry[], from: number, level: number, handle: Handle): Router {
  const router = Router(routing)
  const depth = prefixDepths[level]
  const groups = new Map<string, Entry[]>()
  const direct: Entry[] = []
  for (const entry of entries) {
    const prefix = depth === undefined ? null : literalPrefix(entry.segments, from, depth)
    if (prefix === null) direct.push(entry)
    else groups.set(prefix, [...(groups.get(prefix) ?? []), entry])
  }
  for (const [prefix, members] of groups) router.use(prefix, nest(members, depth ?? from, level + 1, handle))
  for (const { segments, mounted } of direct) {
    const path = `/${segments.slice(from).map(expressSegment).join('/')}`
    const answer = (request: Request, response: Response) => handle(mounted, request, response)
    switch (mounted.endpoint.method) {
      case 'GET':
        router.get(path, answer)
        break
      case 'POST':
        router.post(path, answer)
        break
      case 'PUT':
        router.put(path, answer)
        break
      case 'DELETE':
        router.delete(path, answer)
        break
    }
  }
  return router
}

/** The segments up to `depth` as a path, or `null` when one is a parameter or nothing but a slash would be left. */
function literalPrefix(segments: readonly string[], from: number, depth: number): string | null {
  const prefix = segments.slice(from, depth)
  if (segments.length <= depth || segments[depth] === '' || prefix.some(segment => segment.startsWith(':'))) return null
  return `/${prefix.map(expressSegment).join('/')}`
}

/** Literals may hold characters that mean something to path-to-regexp. */
function expressSegment(segment: string): string {
  return segment.startsWith(':') ? segment : segment.replace(/[(){}[\]*+?!:\\]/g, '\\$&')
}

function comparePaths(a: string, b: string): number {
  const [left, right] = [a.split('/'), b.split('/')]
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const [isLeft, isRight] = [left[at]?.startsWith(':') ?? false, right[at]?.startsWith(':') ?? false]
    if (isLeft !== isRight) return isLeft ? 1 : -1
    if (!isLeft && left[at] !== right[at]) return (left[at] ?? '') < (right[at] ?? '') ? -1 : 1
  }
  return left.length - right.length
}
