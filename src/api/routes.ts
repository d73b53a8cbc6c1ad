import { type Endpoint, endpointsOf } from '../http/endpoint.ts'
import * as adminRegister from './admin/register.ts'
import { clientRoutes } from './client/routes.ts'
import * as health from './health.ts'
import * as join from './pages/join.ts'
import * as wellKnownClient from './well-known/client.ts'
import * as wellKnownServer from './well-known/server.ts'

/** Every endpoint that clients, browsers and operators call. */
export const routes: readonly Endpoint[] = [
  ...clientRoutes,
  ...endpointsOf(adminRegister, health, join, wellKnownClient, wellKnownServer),
]
