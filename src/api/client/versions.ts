import { endpoint } from '../../http/endpoint.ts'

/**
 * The versions of the specification whose obligations are met. Clients want to see at least one of v1.1 to v1.13.
 */
export const supportedVersions = [
  'v1.1', 'v1.2', 'v1.3', 'v1.4', 'v1.5', 'v1.6', 'v1.7', 'v1.8', 'v1.9', 'v1.10', 'v1.11', 'v1.12', 'v1.13',
] as const // prettier-ignore

/** What is served beyond those versions, under the names that clients look for. */
export const unstableFeatures: Readonly<Record<string, boolean>> = {
  // Profile fields of any name (v1.16).
  'uk.tcpip.msc4133': true,
  'uk.tcpip.msc4133.stable': true,
  // Taking no invitations (v1.18).
  'org.matrix.msc4380.stable': true,
}

/** With these clients know that a switch for encryption would do nothing, and show none. */
const forcedEncryption = { 'io.element.e2ee_forced.private': true, 'io.element.e2ee_forced.trusted_private': true }

/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientversions */
export const versions = endpoint({
  method: 'GET',
  path: '/_matrix/client/versions',
  auth: 'optional',
  limit: null,
  handle: ({ config }) => ({
    versions: [...supportedVersions],
    unstable_features: {
      ...unstableFeatures,
      ...(config.encryption.defaultInPrivateRooms ? forcedEncryption : {}),
    },
  }),
})
