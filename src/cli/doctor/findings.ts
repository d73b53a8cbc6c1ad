/** How bad it is. A `warning` is of what somebody may want, such as a setting that is another by default, or what is yet to come. */
export type Level = 'good' | 'warning' | 'failure'

/** What one look came to. */
export interface Finding {
  /** What was looked at. */
  readonly check: CheckName
  readonly level: Level
  /** Which fault; `null` where there is none, and for settings of the database, which have their own words. */
  readonly fault: Fault | null
  /** What was found, in a sentence. */
  readonly message: string
  /** What to do about it; `null` where nothing need be done. */
  readonly fix: string | null
}

/** What is looked at, in the order in which it is told. */
export const checkNames = [
  'settings', 'database', 'schema', 'clock', 'collation', 'signing key', 'keyring', 'media', 'people',
  'address', 'well-known', 'paths', 'uploads', 'long polls', 'forwarded addresses',
] as const // prettier-ignore

export type CheckName = (typeof checkNames)[number]

/**
 * Everything that a doctor may find amiss, with its remedy; what is no failure says so. docs/troubleshooting.md has a word on
 * each. What varies comes after the message.
 */
export const faults = {
  databaseAway: ['The database cannot be used', 'See that it runs, and that database.url is right: host, port, role, password.'],
  schemaBehind: ['The database is older than this version of Lethe', 'Run "lethe migrate", or start the server.'],
  schemaForeign: ['The schema of the database cannot be used', 'Run the version of Lethe that the database was last used with, or a newer one.'],
  noServer: ['The database holds no server yet', 'Start the server once: lethe serve.'],
  otherServer: ['The database belongs to another server', 'Set server_name back, or use another database: a server cannot be renamed.'],
  clockSkew: ['The clocks of this machine and of the database differ', 'Let both follow a time server (NTP): lifetimes are reckoned by this machine’s clock.'],
  signingKeyMissing: ['The signing key is missing', 'Put signing.key back into the data folder, from a backup.'],
  signingKeyBad: ['The signing key cannot be used', 'Put signing.key back into the data folder, from a backup.'],
  signingKeyOpen: ['The signing key can be read by others', 'chmod 600 signing.key: whoever reads it can speak for the server.'],
  keyringMissing: ['The keyring is missing', 'Put it back, or restore a copy of it: lethe keys restore FILE. Without it nothing can be read.'],
  keyringBad: ['The keyring cannot be used', 'Put the newest copy back, or restore one: lethe keys restore FILE.'],
  keyringOther: ['The keyring belongs to another database', 'Put this server’s own keyring back.'],
  keyringOlder: ['The keyring is an older copy than the database has seen', 'Put the newest copy back; if there is none: lethe keys restore FILE --accept-older.'],
  keyringOpen: ['The keyring can be read by others', 'chmod 600 on the file, and 700 on its folder.'],
  keyringInDatabase: ['The keyring lies inside the database’s folder', 'Move it out, and set sealing.keyring.path: a copy of the database must not hold it.'],
  setBack: ['The database was set back, and what was forgotten since is being forgotten again', 'Let the server run for a while, or run "lethe restore --after" while it is stopped.', 'warning'],
  mediaUnwritable: ['The media folder cannot be written', 'See to the owner of media.store.path, and to the room on its disk.'],
  noAdmin: ['Nobody administers this server', 'lethe user create NAME --admin', 'warning'],
  openRegistration: ['Registration is open to everybody', 'Set registration.mode to token or closed, and invite people: lethe invite create.', 'warning'],
  adminsPublic: ['The public listener answers administrators', 'Set admin.on_public_listener to false, and use admin.listen.', 'warning'],
  contentAccess: ['Administrators may read content and sign in as others', 'Set admin.content_access to false, unless everybody here knows of it.', 'warning'],
  noLimits: ['Requests are not limited', 'Set rate_limits.enabled to true.', 'warning'],
  noProxyTrusted: ['Requests come through a proxy that is not trusted', 'Put the proxy’s network into trusted_proxies: till then all strangers share one rate limit.'],
  everybodyTrusted: ['Everybody is trusted as a proxy', 'Leave in trusted_proxies nothing but the networks of your proxies.'],
  unreachable: ['The server cannot be reached under its address', 'See that public_base_url is right, that the server runs, and that the proxy leads there.'],
  notMatrix: ['What answers under the address is no Matrix server', 'Let the proxy pass /_matrix on to listen.host and listen.port.'],
  notThisServer: ['What answers under the address is another server', 'Let the proxy lead to this server, and see that both use one database.'],
  noCors: ['Web clients cannot read the answers', 'Let the proxy leave the header Access-Control-Allow-Origin as it comes.'],
  twoCors: ['The answers carry Access-Control-Allow-Origin twice', 'Let the proxy add no such header of its own: browsers refuse two.'],
  wellKnownMissing: ['Clients do not find the server by its name', 'Let the proxy of server_name pass /.well-known/matrix/ on to this server.'],
  wellKnownType: ['A well-known file is not sent as JSON', 'Let the proxy pass it on as it is, with Content-Type: application/json.'],
  wellKnownCors: ['Web clients cannot read a well-known file', 'Send it with Access-Control-Allow-Origin: *.'],
  wellKnownOther: ['A well-known file says something else than the settings', 'Let the proxy pass /.well-known/matrix/ on, instead of a file of its own.'],
  pathsChanged: ['The proxy changes the paths of requests', 'Let it pass them on undecoded. nginx: proxy_pass without a path behind the port. Apache: AllowEncodedSlashes NoDecode, and nocanon.'],
  uploadTooSmall: ['The proxy refuses uploads that the settings allow', 'Raise its limit on bodies above media.max_upload_bytes. nginx: client_max_body_size.'],
  uploadFailed: ['An upload did not arrive whole', 'See the log of the server and of the proxy: a timeout on bodies, or a full disk.'],
  pollsCut: ['The proxy gives up waiting before a long poll is over', 'Raise its timeout above 60 s. nginx: proxy_read_timeout.'],
  forgedAddress: ['Anybody may say which address they come from', 'Let the proxy set or append to X-Forwarded-For, and leave in trusted_proxies nothing but its network.'],
} as const satisfies Readonly<Record<string, readonly [message: string, fix: string, level?: 'warning']>> // prettier-ignore

export type Fault = keyof typeof faults

export function good(check: CheckName, message: string): Finding {
  return { check, level: 'good', fault: null, message, fix: null }
}

/** `detail`: what varies; it stands behind the message. */
export function bad(check: CheckName, fault: Fault, detail?: string): Finding {
  const [message, fix, level = 'failure'] = faults[fault]
  return { check, level, fault, message: detail === undefined ? `${message}.` : `${message}: ${detail}`, fix }
}
