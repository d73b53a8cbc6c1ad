import { type Endpoint } from './endpoint.ts'

/** What lies below these is for administrators, whoever forgets to say so. */
const adminPrefixes = ['/_synapse/admin/', '/_lethe/admin/']

/** True for a path that only a listener for administrators answers, unless its endpoint says otherwise. */
export function isAdminPath(path: string): boolean {
  return adminPrefixes.some(prefix => path.startsWith(prefix))
}

/** A port that the server listens on, by who can reach it. */
export type Listener = 'public' | 'admin'

/**
 * The endpoints that a listener carries. That of the administrators carries everything, so that their tools find login and
 * administration under one address; the public one leaves out what is theirs, unless the operator lets it in.
 */
export function endpointsOn(
  listener: Listener,
  endpoints: readonly Endpoint[],
  settings: { readonly onPublicListener: boolean },
): readonly Endpoint[] {
  if (listener === 'admin' || settings.onPublicListener) return endpoints
  return endpoints.filter(endpoint => endpoint.isPublic)
}
