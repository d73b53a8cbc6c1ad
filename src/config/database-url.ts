/** How to reach a database, part by part: as operators have it who keep each part, or the password alone, in a secret. */
export interface DatabaseParts {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string
  readonly port: number
  readonly name: string
  readonly user: string
  readonly password: string | null
  readonly tls: 'off' | 'unverified' | 'verified'
  /** A PEM file in place of the well-known authorities, absolute. */
  readonly caFile: string | null
}

const sslModes = { off: 'disable', unverified: 'no-verify', verified: 'verify-full' } as const

/** The parts as one URL, in the form that node-pg reads. Whatever signs a password has, it comes out as it went in. */
export function databaseUrl(parts: DatabaseParts): string {
  const { host, port, name, user, password, tls, caFile } = parts
  // Escaped, so that node-pg takes neither the colons of IPv6 nor the slashes of a folder for its own.
  const address = encodeURIComponent(host)
  const credentials = [user, ...(password === null ? [] : [password])].map(encodeURIComponent).join(':')
  const query = new URLSearchParams({ sslmode: sslModes[tls], ...(caFile === null ? {} : { sslrootcert: caFile }) })
  return `postgres://${credentials}@${address}:${port}/${name}?${query.toString()}`
}
