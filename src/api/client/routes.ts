import { type Endpoint, endpointsOf } from '../../http/endpoint.ts'
import * as capabilities from './capabilities.ts'
import * as versions from './versions.ts'

/** Everything under `/_matrix/client` and `/_matrix/media`, one module for each literal path of the specification. */
export const clientRoutes: readonly Endpoint[] = endpointsOf(capabilities, versions)
