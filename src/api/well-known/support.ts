import { notFound } from '../../errors.ts'
import { endpoint } from '../../http/endpoint.ts'

/** Whom to write to, if the settings say. https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixsupport */
export const support = endpoint({
  method: 'GET',
  path: '/.well-known/matrix/support',
  auth: 'none',
  limit: null,
  handle: ({ config }) => {
    const { contacts, page } = config.support
    if (contacts.length === 0 && page === null) throw notFound()
    return {
      ...(contacts.length === 0
        ? {}
        : {
            contacts: contacts.map(({ role, matrixId, emailAddress }) => ({
              role,
              ...(matrixId === null ? {} : { matrix_id: matrixId }),
              ...(emailAddress === null ? {} : { email_address: emailAddress }),
            })),
          }),
      ...(page === null ? {} : { support_page: page }),
    }
  },
})
