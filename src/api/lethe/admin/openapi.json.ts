import { endpoint } from '../../../http/endpoint.ts'
import { openApiDocument } from '../../../http/openapi.ts'
import { version } from '../../../version.ts'
// Each needs the other; here only when it is asked.
import { adminRoutes } from '../../admin/routes.ts'

/** What administrators can ask for, as an OpenAPI document, made of the declarations. */
export const getOpenApi = endpoint({
  method: 'GET',
  path: '/_lethe/admin/openapi.json',
  auth: 'admin',
  limit: 'light',
  handle: () => openApiDocument('Lethe for administrators', version, adminRoutes),
})
