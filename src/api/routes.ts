import { type Endpoint, endpointsOf } from '../http/endpoint.ts'
import { clientRoutes } from './client/routes.ts'
import { adminRoutes } from './admin/routes.ts'
import * as health from './health.ts'
import * as mediaConfig from './media/config.ts'
import * as mediaCreate from './media/create.ts'
import * as mediaUpload from './media/upload.ts'
import * as letheExport from './lethe/client/export.ts'
import * as letheReport from './lethe/client/report.ts'
import * as pagesAccount from './pages/account.ts'
import * as pagesAccountDevices from './pages/account-devices.ts'
import * as pagesAccountErase from './pages/account-erase.ts'
import * as pagesAccountExport from './pages/account-export.ts'
import * as pagesAccountPassword from './pages/account-password.ts'
import * as pagesAccountRecovery from './pages/account-recovery.ts'
import * as pagesAccountReport from './pages/account-report.ts'
import * as pagesAccountRooms from './pages/account-rooms.ts'
import * as pagesHome from './pages/home.ts'
import * as pagesJoin from './pages/join.ts'
import * as pagesReceipt from './pages/receipt.ts'
import * as pagesRecover from './pages/recover.ts'
import * as pagesRecoveryCode from './pages/recovery-code.ts'
import * as wellKnownClient from './well-known/client.ts'
import * as wellKnownServer from './well-known/server.ts'
import * as wellKnownSupport from './well-known/support.ts'

/** Every endpoint that clients, browsers and operators call. */
export const routes: readonly Endpoint[] = [
  ...clientRoutes,
  ...adminRoutes,
  ...endpointsOf(
    health,
    mediaConfig,
    mediaCreate,
    mediaUpload,
    letheExport,
    letheReport,
    pagesAccount,
    pagesAccountDevices,
    pagesAccountErase,
    pagesAccountExport,
    pagesAccountPassword,
    pagesAccountRecovery,
    pagesAccountReport,
    pagesAccountRooms,
    pagesHome,
    pagesJoin,
    pagesReceipt,
    pagesRecover,
    pagesRecoveryCode,
    wellKnownClient,
    wellKnownServer,
    wellKnownSupport,
  ),
]
