import { type Endpoint, endpointsOf } from '../../http/endpoint.ts'
import * as letheAudit from '../lethe/admin/audit.ts'
import * as register from './register.ts'
import * as serverVersion from './server_version.ts'

/** Every endpoint for administrators. */
export const adminRoutes: readonly Endpoint[] = endpointsOf(letheAudit, register, serverVersion)
