import { type Endpoint, endpointsOf } from '../http/endpoint.ts'
import { clientRoutes } from './client/routes.ts'
import { adminRoutes } from './admin/routes.ts'
import * as health from './health.ts'
import * as mediaConfig from './media/config.ts'
import * as mediaCreate from './media/create.ts'
import * as mediaUpload from './media/upload.ts'
import * as pagesJoin from './pages/join.ts'
import * as pagesRecover from './pages/recover.ts'
import * as pagesRecoveryCode from './pages/recovery-code.ts'
import * as wellKnownClient from './well-known/client.ts'
import * as wellKnownServer from './well-known/server.ts'

/** Every endpoint that clients, browsers and operators call. */
export const routes: readonly Endpoint[] = [
  ...clientRoutes,
  ...adminRoutes,
  ...endpointsOf(
    health,
    mediaConfig,
    mediaCreate,
    mediaUpload,
    pagesJoin,
    pagesRecover,
    pagesRecoveryCode,
    wellKnownClient,
    wellKnownServer,
  ),
]
