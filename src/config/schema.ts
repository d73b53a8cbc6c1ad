import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import { defaultLimits, type LimitClass } from '../limiter.ts'
import { parseRoomId, parseServerName } from '../protocol/identifiers.ts'
import { defaultRoomVersion, roomVersions } from '../protocol/room-versions.ts'
import { duration, port, secret, section, size, snakeCase, webUrl } from './values.ts'

// Each key says what it is for: the reference, the JSON Schema and the hints of error messages are made from this file.

const listener = (host: string, defaultPort: number) => ({
  host: z.string().min(1).default(host).describe('The address to listen on; 0.0.0.0 or :: for all.'),
  port: port.default(defaultPort).describe('The port to listen on; 0 takes a free one.'),
})

const lifetime = (description: string) => duration(1_000).nullable().default(null).describe(description)

const lifetimeRange = (name: string) =>
  section(
    {
      min: lifetime(`The shortest ${name} a room may ask for.`),
      max: lifetime(`The longest ${name} a room may ask for.`),
    },
    ({ min, max }) =>
      typeof min === 'number' && typeof max === 'number' && min > max
        ? { key: 'max', message: 'must not be less than min' }
        : null,
  ).prefault({})

const retentionPolicy = (whose: string) =>
  section(
    {
      max_lifetime: lifetime(`How long messages ${whose} live; null for as long as the server.`),
      min_lifetime: lifetime(`How long messages ${whose} live at least.`),
    },
    ({ max_lifetime: max, min_lifetime: min }) =>
      typeof min === 'number' && typeof max === 'number' && min > max
        ? { key: 'max_lifetime', message: 'must not be less than min_lifetime' }
        : null,
  )

const rateLimit = (perSecond: number, burst: number) =>
  section({
    per_second: z.number().positive().default(perSecond).describe('Requests a second in the long run.'),
    burst: z.int().min(1).default(burst).describe('Requests at once.'),
  }).prefault({})

type SnakeCase<Name extends string> = Name extends `${infer Letter}${infer Rest}`
  ? `${Letter extends Lowercase<Letter> ? Letter : `_${Lowercase<Letter>}`}${SnakeCase<Rest>}`
  : Name

/** One setting for each class of limits. */
function rateLimits(): { readonly [Name in LimitClass as SnakeCase<Name>]: ReturnType<typeof rateLimit> } {
  const entries = Object.entries(defaultLimits).map(([name, rate]) => [
    snakeCase(name),
    rateLimit(rate.perSecond, rate.burst).describe(`The limit called ${name}.`),
  ])
  return Object.fromEntries(entries) as ReturnType<typeof rateLimits> // One entry for each class, as the type says.
}

const networks = z
  .array(z.string())
  .transform((list, context) => {
    for (const [index, text] of list.entries()) {
      if (ipaddr.isValidCIDR(text) || ipaddr.isValid(text)) continue
      context.addIssue({ code: 'custom', path: [index], message: 'must be an address or a network such as 10.0.0.0/8' })
    }
    return list
  })
  .readonly()
  .prefault([])

const vaultName = /^[\w.-]+$/

/** Keys and tokens go over the wire: nobody but this machine may see it in the clear. */
function isSecureOrLocal(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, hostname } = new URL(url)
  return protocol === 'https:' || ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
}

const JWT_ALGORITHMS = ['HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'] as const // prettier-ignore

/** Every setting of Lethe, as it stands in the file: the one place where names, types, defaults and meanings are said. */
export const settings = section({
  server_name: z
    .string()
    .transform((text, context) => {
      const name = parseServerName(text)
      if (name !== null) return name
      context.addIssue({ code: 'custom', message: 'must be a host name, with a port if need be, such as example.org' })
      return z.NEVER
    })
    .prefault('localhost')
    .describe('The part after the colon of every user ID (@alice:example.org). It can never be changed.'),
  public_base_url: webUrl
    .nullable()
    .default(null)
    .describe('The URL under which clients reach this server. By default derived from server_name.'),
  data_dir: z
    .string()
    .min(1)
    .default('./lethe-data')
    .describe('The folder for keys, media and the embedded database. Relative to the working directory.'),
  database: section(
    {
      url: z
        .string()
        .refine(text => URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol), {
          message: 'must be a URL such as postgres://user:password@host:5432/lethe',
        })
        .nullable()
        .default(null)
        .meta({
          writeOnly: true,
          description: 'A PostgreSQL (15 or later) of your own. By default an embedded one runs.',
        }),
      host: z
        .string()
        .regex(/^(?:\/[^\0]+|[\w.:-]+)$/, 'must be a host name, an address, or the folder of a Unix socket')
        .nullable()
        .default(null)
        .describe('In place of the URL: where it is. With it go the port, the name, the user and the password.'),
      port: port.default(5432).describe('Where there is a host: its port.'),
      name: z
        .string()
        .regex(/^[\w.-]+$/, 'must be the name of a database: letters, digits, _ . -')
        .default('lethe')
        .describe('Where there is a host: the name of the database.'),
      user: z.string().min(1).default('lethe').describe('Where there is a host: the role.'),
      password: secret().nullable().default(null).describe('Where there is a host: the password of the role.'),
      tls: z
        .enum(['off', 'unverified', 'verified'])
        .default('off')
        .describe('Where there is a host: whether to use TLS, and to check who answers.'),
      ca_file: z
        .string()
        .min(1)
        .nullable()
        .default(null)
        .describe('The authorities (PEM) that verified TLS trusts, in place of the well-known ones.'),
      pool_size: z.int().min(2).max(500).default(20).describe('Connections that one process may open.'),
    },
    ({ url, host, ca_file: caFile, tls }) => {
      if (url && host) return { key: 'host', message: 'and database.url cannot both be set' }
      if (caFile && tls !== 'verified') return { key: 'ca_file', message: 'needs database.tls: verified' }
      return null
    },
  ).prefault({}),
  signing_key: secret()
    .regex(/^ed25519 \w+ [A-Za-z0-9+/]{43}=?\s*$/, 'must be one line "ed25519 <name> <seed>"')
    .nullable()
    .default(null)
    .describe(
      'The key that signs events, for keeping it in a secret. By default signing.key in data_dir, made when new.',
    ),
  listen: section({
    ...listener('127.0.0.1', 8008),
    max_connections: z
      .int()
      .min(10)
      .max(100_000)
      .default(16_000)
      .describe('Connections that clients may hold at once; each waiting client has one, and one open file.'),
  }).prefault({}),
  metrics: section({
    enabled: z.boolean().default(true).describe('Whether to answer /metrics for Prometheus.'),
    ...listener('127.0.0.1', 9090),
  }).prefault({}),
  admin: section({
    listen: section({
      enabled: z.boolean().default(false).describe('Whether to answer administrators on a port of their own.'),
      ...listener('127.0.0.1', 8009),
    }).prefault({}),
    on_public_listener: z
      .boolean()
      .default(false)
      .describe('Whether the port that is open to the world answers administrators too.'),
    content_access: z
      .boolean()
      .default(false)
      .describe('Whether administrators may read the content of rooms and sign in as others.'),
  }).prefault({}),
  trusted_proxies: networks.describe('Networks of the reverse proxies whose X-Forwarded-For is believed.'),
  log: section({
    level: z
      .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
      .default('info')
      .describe('The least important messages that are written.'),
  }).prefault({}),
  registration: section(
    {
      mode: z
        .enum(['closed', 'token', 'open'])
        .default('closed')
        .describe('Who may register: nobody, who has a registration token, anybody.'),
      i_know_open_is_unsafe: z
        .boolean()
        .default(false)
        .describe('Needed for open registration, which spammers find within days.'),
      shared_secret: secret().nullable().default(null).describe('Allows scripts to register users.'),
    },
    ({ mode, i_know_open_is_unsafe: isKnown }) =>
      mode === 'open' && isKnown !== true
        ? {
            key: 'mode',
            message: 'open lets anybody in, spammers first; it needs registration.i_know_open_is_unsafe: true',
          }
        : null,
  ).prefault({}),
  login: section({
    token: section({
      enabled: z
        .boolean()
        .default(false)
        .describe('Whether a signed-in user may sign in another device (m.login.token).'),
    }).prefault({}),
    jwt: section({
      secret: secret().describe('The key (HS…) or the PEM public key (RS…, PS…, ES…) that tokens are checked with.'),
      algorithms: z
        .array(z.enum(JWT_ALGORITHMS))
        .min(1)
        .default(['HS256'])
        .describe('The signatures that are accepted.'),
      subject_claim: z.string().min(1).default('sub').describe('The claim that holds the localpart.'),
      issuer: z.string().nullable().default(null).describe('The issuer that tokens must name.'),
      audiences: z
        .array(z.string())
        .readonly()
        .nullable()
        .default(null)
        .describe('Audiences of which tokens must name one.'),
    })
      .nullable()
      .default(null)
      .describe('Sign-in with JSON Web Tokens (org.matrix.login.jwt).'),
  }).prefault({}),
  rate_limits: section({
    enabled: z.boolean().default(true).describe('Whether requests are limited at all.'),
    ...rateLimits(),
  }).prefault({}),
  media: section({
    max_upload_bytes: size().prefault('50M').describe('The largest upload.'),
    lifetime: duration(60_000)
      .nullable()
      .default(null)
      .describe(
        'How long uploads live that no readable message or profile shows, such as files in encrypted rooms. By default as long as messages in rooms without a policy of their own.',
      ),
    store: section({
      path: z.string().min(1).nullable().default(null).describe('The folder for files. By default media in data_dir.'),
    }).prefault({}),
  }).prefault({}),
  retention: section({
    default: retentionPolicy('in rooms without a policy of their own').prefault({}),
    limits: section({
      min_lifetime: lifetimeRange('min_lifetime'),
      max_lifetime: lifetimeRange('max_lifetime'),
    }).prefault({}),
    rooms: z
      .record(
        z.string().refine(text => parseRoomId(text) !== null, 'must be a room ID'),
        retentionPolicy('in this room'),
      )
      .readonly()
      .default({})
      .describe('Policies by room ID, over whatever the room says.'),
    sweep_interval: duration(1_000).prefault('60s').describe('How soon after their end expired messages are deleted.'),
    stale_devices: duration(86_400_000)
      .nullable()
      .prefault('180d')
      .describe('How long a device may stay away before it is signed out and forgotten; null for ever.'),
    idle_invites: duration(86_400_000)
      .nullable()
      .prefault('90d')
      .describe('How long an invitation may wait for an answer before it is declined; null for ever.'),
    left_rooms: duration(0)
      .prefault('7d')
      .describe('How long a room is kept that everybody here has left. One that all have forgotten goes at once.'),
  }).prefault({}),
  sealing: section({
    enabled: z
      .boolean()
      .default(true)
      .describe('Whether what people say and keep is encrypted under keys that lie outside the database.'),
    keyring: section({
      path: z
        .string()
        .min(1)
        .nullable()
        .default(null)
        .describe(
          'The file of the keys. By default keyring/keyring in data_dir; best on a volume of its own, in no backup.',
        ),
      vault: section({
        url: webUrl
          .refine(
            text => isSecureOrLocal(text),
            'must begin with https://, or http:// and name this machine (a proxy such as the Vault agent)',
          )
          .describe('The URL of a HashiCorp Vault or an OpenBao, such as https://vault.example.org:8200.'),
        key: z
          .string()
          .regex(vaultName, 'must be the name of a key')
          .default('lethe')
          .describe('The key of the Transit engine, for this server alone: its old versions are destroyed.'),
        mount: z
          .string()
          .regex(/^[\w.-]+(\/[\w.-]+)*$/, 'must be the path of a mount')
          .default('transit')
          .describe('Where the Transit engine is mounted.'),
        token: secret()
          .regex(/^[!-~]+$/, 'must be a token: letters, digits and signs, in one line')
          .nullable()
          .default(null)
          .describe(
            'The token that may use the key. None is sent by default, for an agent in between that adds its own.',
          ),
        namespace: z
          .string()
          .regex(/^[!-~]+$/, 'must be a namespace')
          .nullable()
          .default(null)
          .describe('The namespace, where there are any.'),
        ca_file: z
          .string()
          .min(1)
          .nullable()
          .default(null)
          .describe(
            'A file of certificates (PEM) to trust in place of the well-known ones. Relative to the working directory.',
          ),
        timeout: duration(100).prefault('2s').describe('How long one request may take; writing the keys takes six.'),
      })
        .nullable()
        .default(null)
        .describe('Encrypts the file of the keys with Vault, so that older copies of it are worthless.'),
    }).prefault({}),
  }).prefault({}),
  backup: section({
    signing_key: z
      .boolean()
      .default(true)
      .describe('Whether "lethe backup" puts the signing key into its file; else it must be kept apart.'),
  }).prefault({}),
  rooms: section({
    default_version: z
      .enum(roomVersions.map(({ id }) => id))
      .default(defaultRoomVersion)
      .describe('The version of new rooms whose creator asks for none.'),
  }).prefault({}),
  profiles: section({
    visible_to: z
      .enum(['shared_rooms', 'users', 'everyone'])
      .default('shared_rooms')
      .describe('Who sees the profile of a user: those in a room with them, all who are signed in, everyone.'),
  }).prefault({}),
  sharing: section({
    receipts: z
      .boolean()
      .default(false)
      .describe('Whether those in a room see how far the others have read; else every receipt is a private one.'),
    typing: z.boolean().default(false).describe('Whether those in a room see who is typing.'),
    device_names: z.boolean().default(false).describe('Whether users see what others call their devices.'),
  }).prefault({}),
  federation: section({
    enabled: z
      .boolean()
      .default(false)
      .describe('Whether this server talks to other servers: not built yet, so it has no effect.'),
  }).prefault({}),
  presence: section({
    enabled: z
      .boolean()
      .default(false)
      .describe('Whether users see who is online: not built yet, so it has no effect.'),
  }).prefault({}),
  encryption: section({
    default_in_private_rooms: z.boolean().default(true).describe('Whether new private rooms are encrypted.'),
    refuse_plaintext: z
      .boolean()
      .default(true)
      .describe('Whether messages that are not encrypted are refused in encrypted rooms.'),
  }).prefault({}),
  well_known: section({
    client_extra: z
      .record(z.string(), z.json())
      .readonly()
      .default({})
      .describe('More keys for /.well-known/matrix/client.'),
  }).prefault({}),
  support: section({
    contacts: z
      .array(
        section(
          {
            role: z
              .enum(['m.role.admin', 'm.role.security'])
              .default('m.role.admin')
              .describe('What they are there for.'),
            matrix_id: z
              .string()
              .regex(/^@.+:.+$/, 'must be a user ID')
              .nullable()
              .default(null)
              .describe('Their user ID.'),
            email_address: z.string().min(3).nullable().default(null).describe('Their e-mail address.'),
          },
          ({ matrix_id: matrixId, email_address: email }) =>
            matrixId || email ? null : { key: 'matrix_id', message: 'or email_address must be set' },
        ),
      )
      .readonly()
      .default([])
      .describe('Who runs this server: shown on its pages and in /.well-known/matrix/support.'),
    page: webUrl.nullable().default(null).describe('A page about how to get help.'),
  }).prefault({}),
  turn: section(
    {
      uris: z
        .array(z.string().regex(/^(turns?|stuns?):/, 'must start with turn:, turns: or stun:'))
        .readonly()
        .default([])
        .describe('The URIs of the TURN servers; none switches calls through them off.'),
      shared_secret: secret().nullable().default(null).describe('The secret shared with the TURN server.'),
      username: z.string().nullable().default(null).describe('A fixed user name, where there is no shared secret.'),
      password: secret().nullable().default(null).describe('The password of the fixed user.'),
      ttl: duration(1_000).prefault('1h').describe('How long credentials are good for.'),
      allow_guests: z.boolean().default(false).describe('Whether guests get credentials.'),
    },
    ({ uris, shared_secret: shared, username, password }) =>
      (uris?.length ?? 0) > 0 && !shared && !(username && password)
        ? { key: 'shared_secret', message: 'turn.uris needs turn.shared_secret, or turn.username and turn.password' }
        : null,
  ).prefault({}),
})

/** The settings of a file, before defaults. */
export type SettingsInput = z.input<typeof settings>
/** The settings of a running server. */
export type Settings = z.output<typeof settings>
