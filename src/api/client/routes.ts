import { type Endpoint, endpointsOf } from '../../http/endpoint.ts'
import * as account3pid from './account/3pid.ts'
import * as accountDeactivate from './account/deactivate.ts'
import * as accountPassword from './account/password.ts'
import * as accountWhoami from './account/whoami.ts'
import * as adminLock from './admin/lock.ts'
import * as adminSuspend from './admin/suspend.ts'
import * as adminWhois from './admin/whois.ts'
import * as authFallbackWeb from './auth/fallback/web.ts'
import * as capabilities from './capabilities.ts'
import * as createRoom from './createRoom.ts'
import * as deleteDevices from './delete_devices.ts'
import * as devices from './devices.ts'
import * as directoryListRoom from './directory/list/room.ts'
import * as directoryRoom from './directory/room.ts'
import * as join from './join.ts'
import * as joinedRooms from './joined_rooms.ts'
import * as keysChanges from './keys/changes.ts'
import * as keysClaim from './keys/claim.ts'
import * as keysDeviceSigningUpload from './keys/device_signing/upload.ts'
import * as keysQuery from './keys/query.ts'
import * as keysSignaturesUpload from './keys/signatures/upload.ts'
import * as keysUpload from './keys/upload.ts'
import * as knock from './knock.ts'
import * as login from './login.ts'
import * as loginGetToken from './login/get_token.ts'
import * as logout from './logout.ts'
import * as logoutAll from './logout/all.ts'
import * as mediaConfig from './media/config.ts'
import * as mediaDownload from './media/download.ts'
import * as mediaThumbnail from './media/thumbnail.ts'
import * as profile from './profile.ts'
import * as publicRooms from './publicRooms.ts'
import * as pushrules from './pushrules.ts'
import * as pushrulesGlobal from './pushrules/global.ts'
import * as pushrulesGlobalActions from './pushrules/global/actions.ts'
import * as pushrulesGlobalEnabled from './pushrules/global/enabled.ts'
import * as refresh from './refresh.ts'
import * as register from './register.ts'
import * as registerAvailable from './register/available.ts'
import * as registerMLoginRegistrationTokenValidity from './register/m.login.registration_token/validity.ts'
import * as retentionConfiguration from './retention/configuration.ts'
import * as roomKeysKeys from './room_keys/keys.ts'
import * as roomKeysVersion from './room_keys/version.ts'
import * as roomsAliases from './rooms/aliases.ts'
import * as roomsBan from './rooms/ban.ts'
import * as roomsContext from './rooms/context.ts'
import * as roomsEvent from './rooms/event.ts'
import * as roomsForget from './rooms/forget.ts'
import * as roomsInvite from './rooms/invite.ts'
import * as roomsJoin from './rooms/join.ts'
import * as roomsJoinedMembers from './rooms/joined_members.ts'
import * as roomsKick from './rooms/kick.ts'
import * as roomsLeave from './rooms/leave.ts'
import * as roomsMembers from './rooms/members.ts'
import * as roomsMessages from './rooms/messages.ts'
import * as roomsReadMarkers from './rooms/read_markers.ts'
import * as roomsReceipt from './rooms/receipt.ts'
import * as roomsRedact from './rooms/redact.ts'
import * as roomsRelations from './rooms/relations.ts'
import * as roomsReport from './rooms/report.ts'
import * as roomsSend from './rooms/send.ts'
import * as roomsState from './rooms/state.ts'
import * as roomsThreads from './rooms/threads.ts'
import * as roomsTyping from './rooms/typing.ts'
import * as roomsUnban from './rooms/unban.ts'
import * as roomsUpgrade from './rooms/upgrade.ts'
import * as sendToDevice from './sendToDevice.ts'
import * as probeAddress from './unstable/org.lethe.probe/address.ts'
import * as probeHold from './unstable/org.lethe.probe/hold.ts'
import * as probeUpload from './unstable/org.lethe.probe/upload.ts'
import * as usersReport from './users/report.ts'
import * as sync from './sync.ts'
import * as userAccountData from './user/account_data.ts'
import * as userFilter from './user/filter.ts'
import * as userRoomsAccountData from './user/rooms/account_data.ts'
import * as userRoomsTags from './user/rooms/tags.ts'
import * as versions from './versions.ts'
import * as voipTurnServer from './voip/turnServer.ts'

/** Everything under `/_matrix/client` and `/_matrix/media`, one module for each literal path of the specification. */
export const clientRoutes: readonly Endpoint[] = endpointsOf(
  account3pid,
  accountDeactivate,
  accountPassword,
  accountWhoami,
  adminLock,
  adminSuspend,
  adminWhois,
  authFallbackWeb,
  capabilities,
  createRoom,
  deleteDevices,
  devices,
  directoryListRoom,
  directoryRoom,
  join,
  joinedRooms,
  keysChanges,
  keysClaim,
  keysDeviceSigningUpload,
  keysQuery,
  keysSignaturesUpload,
  keysUpload,
  knock,
  login,
  loginGetToken,
  logout,
  logoutAll,
  mediaConfig,
  mediaDownload,
  mediaThumbnail,
  profile,
  publicRooms,
  pushrules,
  pushrulesGlobal,
  pushrulesGlobalActions,
  pushrulesGlobalEnabled,
  refresh,
  register,
  registerAvailable,
  registerMLoginRegistrationTokenValidity,
  retentionConfiguration,
  roomKeysKeys,
  roomKeysVersion,
  roomsAliases,
  roomsBan,
  roomsContext,
  roomsEvent,
  roomsForget,
  roomsInvite,
  roomsJoin,
  roomsJoinedMembers,
  roomsKick,
  roomsLeave,
  roomsMembers,
  roomsMessages,
  roomsReadMarkers,
  roomsReceipt,
  roomsRedact,
  roomsRelations,
  roomsReport,
  roomsSend,
  roomsState,
  roomsThreads,
  roomsTyping,
  roomsUnban,
  roomsUpgrade,
  probeAddress,
  probeHold,
  probeUpload,
  sendToDevice,
  sync,
  usersReport,
  userAccountData,
  userFilter,
  userRoomsAccountData,
  userRoomsTags,
  versions,
  voipTurnServer,
)
