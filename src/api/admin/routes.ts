import { type Endpoint, endpointsOf } from '../../http/endpoint.ts'
import * as deactivate from './deactivate.ts'
import * as eventReports from './event_reports.ts'
import * as fetchEvent from './fetch_event.ts'
import * as join from './join.ts'
import * as media from './media.ts'
import * as mediaDelete from './media/delete.ts'
import * as mediaProtect from './media/protect.ts'
import * as mediaQuarantine from './media/quarantine.ts'
import * as mediaUnprotect from './media/unprotect.ts'
import * as mediaUnquarantine from './media/unquarantine.ts'
import * as purgeHistory from './purge_history.ts'
import * as purgeHistoryStatus from './purge_history_status.ts'
import * as purgeMediaCache from './purge_media_cache.ts'
import * as register from './register.ts'
import * as registrationTokens from './registration_tokens.ts'
import * as registrationTokensNew from './registration_tokens/new.ts'
import * as resetPassword from './reset_password.ts'
import * as roomMedia from './room/media.ts'
import * as roomMediaQuarantine from './room/media/quarantine.ts'
import * as rooms from './rooms.ts'
import * as roomsBlock from './rooms/block.ts'
import * as roomsContext from './rooms/context.ts'
import * as roomsDeleteStatus from './rooms/delete_status.ts'
import * as roomsHierarchy from './rooms/hierarchy.ts'
import * as roomsMakeRoomAdmin from './rooms/make_room_admin.ts'
import * as roomsMembers from './rooms/members.ts'
import * as roomsMessages from './rooms/messages.ts'
import * as roomsState from './rooms/state.ts'
import * as roomsTimestampToEvent from './rooms/timestamp_to_event.ts'
import * as scheduledTasks from './scheduled_tasks.ts'
import * as serverVersion from './server_version.ts'
import * as statisticsDatabaseRooms from './statistics/database/rooms.ts'
import * as statisticsUsersMedia from './statistics/users/media.ts'
import * as suspend from './suspend.ts'
import * as userMediaQuarantine from './user/media/quarantine.ts'
import * as userRedact from './user/redact.ts'
import * as userRedactStatus from './user/redact_status.ts'
import * as userReports from './user_reports.ts'
import * as usernameAvailable from './username_available.ts'
import * as users from './users.ts'
import * as usersAccountdata from './users/accountdata.ts'
import * as usersAdmin from './users/admin.ts'
import * as usersDeleteDevices from './users/delete_devices.ts'
import * as usersDevices from './users/devices.ts'
import * as usersJoinedRooms from './users/joined_rooms.ts'
import * as usersLogin from './users/login.ts'
import * as usersMedia from './users/media.ts'
import * as usersMemberships from './users/memberships.ts'
import * as usersPushers from './users/pushers.ts'
import * as whois from './whois.ts'
import * as letheAudit from '../lethe/admin/audit.ts'
import * as letheOpenapiJson from '../lethe/admin/openapi.json.ts'
import * as letheReports from '../lethe/admin/reports.ts'
import * as letheRetention from '../lethe/admin/retention.ts'
import * as letheRetentionRooms from '../lethe/admin/retention/rooms.ts'
import * as letheRetentionStatus from '../lethe/admin/retention/status.ts'
import * as letheRetentionSweep from '../lethe/admin/retention/sweep.ts'

/** Every endpoint for administrators. */
export const adminRoutes: readonly Endpoint[] = endpointsOf(
  deactivate,
  eventReports,
  fetchEvent,
  join,
  media,
  mediaDelete,
  mediaProtect,
  mediaQuarantine,
  mediaUnprotect,
  mediaUnquarantine,
  purgeHistory,
  purgeHistoryStatus,
  purgeMediaCache,
  register,
  registrationTokens,
  registrationTokensNew,
  resetPassword,
  roomMedia,
  roomMediaQuarantine,
  rooms,
  roomsBlock,
  roomsContext,
  roomsDeleteStatus,
  roomsHierarchy,
  roomsMakeRoomAdmin,
  roomsMembers,
  roomsMessages,
  roomsState,
  roomsTimestampToEvent,
  scheduledTasks,
  serverVersion,
  statisticsDatabaseRooms,
  statisticsUsersMedia,
  suspend,
  userMediaQuarantine,
  userRedact,
  userRedactStatus,
  userReports,
  usernameAvailable,
  users,
  usersAccountdata,
  usersAdmin,
  usersDeleteDevices,
  usersDevices,
  usersJoinedRooms,
  usersLogin,
  usersMedia,
  usersMemberships,
  usersPushers,
  whois,
  letheAudit,
  letheOpenapiJson,
  letheReports,
  letheRetention,
  letheRetentionRooms,
  letheRetentionStatus,
  letheRetentionSweep,
)
