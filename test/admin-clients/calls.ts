/** A call that tools for administrators make. */
export interface AdminCall {
  /** Method and path, without `/_synapse/admin/`. */
  readonly call: string
  /** 1: sign in, lists, daily jobs; 2: disk and moderation; 3: the rest. */
  readonly tier: 1 | 2 | 3
  /** Who makes it. */
  readonly by: string
  /** Why it is not answered; absent where it is. */
  readonly why?: string
  /** What is to be known of the answer. */
  readonly note?: string
}

const content = 'only with `admin.content_access`; otherwise 403'
const federation = 'there is no federation yet'
const nothingKept = 'nothing of the sort is kept'

const answered = (tier: 1 | 2 | 3, by: string, calls: readonly string[], note?: string): AdminCall[] =>
  calls.map(call => ({ call, tier, by, ...(note === undefined ? {} : { note }) }))
const refused = (tier: 1 | 2 | 3, by: string, calls: readonly string[], why: string): AdminCall[] =>
  calls.map(call => ({ call, tier, by, why }))

const ketesa = 'Ketesa'
const synadm = 'synadm'
const both = 'Ketesa, synadm'
const moderation = 'Ketesa, Draupnir'

/** Every call of the Synapse admin API that the known tools make, and what becomes of it here. */
export const adminCalls: readonly AdminCall[] = [
  ...answered(1, both, ['GET v1/server_version']),
  ...answered(
    1,
    'scripts, Complement',
    ['GET v1/register', 'POST v1/register'],
    'only with `registration.shared_secret`',
  ),
  ...answered(1, ketesa, ['GET v3/users']),
  ...answered(1, synadm, ['GET v2/users']),
  ...answered(1, both, ['GET v2/users/:userId', 'PUT v2/users/:userId'], 'no `threepids`, `external_ids`, `user_type`'),
  ...answered(1, 'Draupnir, matrix-js-sdk', ['GET v1/users/:userId/admin', 'PUT v1/users/:userId/admin']),
  ...answered(1, both, ['POST v1/deactivate/:userId'], 'with `erase` everything they sent goes too; the answer links the receipt'), // prettier-ignore
  ...answered(1, both, ['POST v1/reset_password/:userId', 'PUT v1/suspend/:userId']),
  ...answered(1, both, [
    'GET v2/users/:userId/devices', 'POST v2/users/:userId/devices', 'GET v2/users/:userId/devices/:deviceId',
    'PUT v2/users/:userId/devices/:deviceId', 'DELETE v2/users/:userId/devices/:deviceId', 'POST v2/users/:userId/delete_devices',
  ]), // prettier-ignore
  ...answered(1, both, ['GET v1/whois/:userId'], 'no addresses, no agents; use to the day'),
  ...answered(1, both, ['GET v1/users/:userId/joined_rooms']),
  ...answered(1, ketesa, ['GET v1/users/:userId/memberships']),
  ...answered(1, ketesa, ['GET v1/users/:userId/pushers'], 'always empty: this server pushes to nobody yet'),
  ...answered(1, ketesa, ['GET v1/users/:userId/accountdata'], content),
  ...answered(1, ketesa, ['GET v1/username_available']),
  ...answered(1, both, [
    'GET v1/registration_tokens', 'POST v1/registration_tokens/new', 'GET v1/registration_tokens/:token',
    'PUT v1/registration_tokens/:token', 'DELETE v1/registration_tokens/:token',
  ]), // prettier-ignore
  ...answered(1, both, ['GET v1/rooms', 'GET v1/rooms/:roomId', 'GET v1/rooms/:roomId/members']),
  ...answered(1, both, ['GET v1/rooms/:roomId/state'], content),
  ...answered(1, both, ['DELETE v2/rooms/:roomId', 'GET v2/rooms/delete_status/:deleteId']),
  ...answered(1, synadm, ['GET v2/rooms/:roomId/delete_status', 'DELETE v1/rooms/:roomId']),
  ...answered(1, both, [
    'GET v1/rooms/:roomId/block', 'PUT v1/rooms/:roomId/block', 'POST v1/rooms/:roomIdOrAlias/make_room_admin',
    'POST v1/join/:roomIdOrAlias',
  ]), // prettier-ignore

  ...answered(2, both, ['POST v1/purge_history/:roomId', 'GET v1/purge_history_status/:purgeId']),
  ...answered(2, synadm, ['POST v1/purge_history/:roomId/:eventId']),
  ...answered(2, both, ['POST v1/purge_media_cache'], 'deletes nothing: of other servers’ media nothing is kept'),
  ...answered(2, both, [
    'POST v1/media/delete', 'GET v1/users/:userId/media', 'DELETE v1/users/:userId/media',
    'GET v1/media/:serverName/:mediaId', 'DELETE v1/media/:serverName/:mediaId',
  ]), // prettier-ignore
  ...answered(2, both, ['GET v1/room/:roomId/media'], 'what unencrypted messages show'),
  ...answered(2, both, [
    'POST v1/media/quarantine/:serverName/:mediaId', 'POST v1/media/unquarantine/:serverName/:mediaId',
    'POST v1/media/protect/:mediaId', 'POST v1/media/unprotect/:mediaId', 'POST v1/room/:roomId/media/quarantine',
    'POST v1/user/:userId/media/quarantine',
  ]), // prettier-ignore
  ...answered(2, moderation, ['GET v1/event_reports', 'DELETE v1/event_reports/:reportId']),
  ...answered(2, moderation, ['GET v1/event_reports/:reportId'], content),
  ...answered(2, ketesa, ['GET v1/user_reports', 'GET v1/user_reports/:reportId', 'DELETE v1/user_reports/:reportId']),
  ...answered(2, 'Ketesa, synadm, Draupnir', ['POST v1/user/:userId/redact', 'GET v1/user/redact_status/:redactId']),
  ...answered(2, ketesa, ['GET v1/fetch_event/:eventId', 'GET v1/rooms/:roomId/messages'], content),
  ...answered(2, moderation, ['GET v1/rooms/:roomId/context/:eventId'], content),
  ...answered(2, ketesa, ['GET v1/rooms/:roomId/timestamp_to_event', 'GET v1/rooms/:roomId/hierarchy']),
  ...answered(2, ketesa, ['GET v1/scheduled_tasks', 'GET v1/statistics/users/media', 'GET v1/statistics/database/rooms']), // prettier-ignore
  ...refused(2, 'Ketesa, synadm, Draupnir', ['POST v1/users/:userId/shadow_ban', 'DELETE v1/users/:userId/shadow_ban'], 'nobody is banned in secret here: suspend or lock instead'), // prettier-ignore
  ...refused(2, ketesa, [
    'GET v1/federation/destinations', 'GET v1/federation/destinations/:destination',
    'GET v1/federation/destinations/:destination/rooms', 'POST v1/federation/destinations/:destination/reset_connection',
  ], federation), // prettier-ignore

  ...answered(3, both, ['POST v1/users/:userId/login'], content),
  ...refused(3, ketesa, [
    'GET v1/users/:userId/override_ratelimit', 'POST v1/users/:userId/override_ratelimit',
    'DELETE v1/users/:userId/override_ratelimit',
  ], 'limits are the same for everybody'), // prettier-ignore
  ...refused(3, both, ['GET v1/threepid/:medium/users/:address', 'GET v1/auth_providers/:provider/users/:externalId'], nothingKept), // prettier-ignore
  ...refused(3, both, ['POST v1/send_server_notice', 'PUT v1/send_server_notice/:txnId'], 'there are no server notices yet'), // prettier-ignore
  ...refused(3, ketesa, ['POST v1/users/:userId/_allow_cross_signing_replacement_without_uia'], 'who takes over the keys shows their password'), // prettier-ignore
  ...refused(3, ketesa, ['GET v1/rooms/:roomId/forward_extremities', 'DELETE v1/rooms/:roomId/forward_extremities'], 'a room of one server has one; there is nothing to mend'), // prettier-ignore
  ...refused(3, ketesa, ['GET v1/users/:userId/sent_invite_count', 'GET v1/users/:userId/cumulative_joined_room_count'], 'nobody’s activity is counted'), // prettier-ignore
  ...refused(3, ketesa, ['GET v1/experimental_features/:userId', 'PUT v1/experimental_features/:userId'], 'nothing is switched for one user alone'), // prettier-ignore
  ...refused(3, ketesa, ['POST v1/account_validity/validity'], 'accounts do not run out'),
  ...refused(3, synadm, ['POST v1/media/:serverName/delete', 'POST v1/quarantine_media/:roomId', 'GET v1/search_users/:userId'], 'replaced by newer calls'), // prettier-ignore
  ...refused(3, 'nobody known', ['GET v1/background_updates/status'], 'migrations run before the server starts'),
]

/** The table of docs/admin.md. */
export function callsTable(): string {
  const rows = adminCalls.map(({ call, by, why, note }) => {
    const here = why === undefined ? `yes${note === undefined ? '' : `: ${note}`}` : `no: ${why}`
    return [`\`${call.replace(/:(\w+)/g, '{$1}')}\``, by, here] as const
  })
  const table = [['call', 'made by', 'here'], ...rows]
  const widths = [0, 1, 2].map(column => Math.max(...table.map(row => [...(row[column] ?? '')].length)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - [...cell].length)).join(' | ')} |`
  const rule = `| ${widths.map(width => '-'.repeat(width)).join(' | ')} |`
  const [head = [], ...body] = table
  return [line(head), rule, ...body.map(line)].join('\n')
}
