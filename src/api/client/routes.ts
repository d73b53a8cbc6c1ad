import { type Endpoint, endpointsOf } from '../../http/endpoint.ts'
import * as account3pid from './account/3pid.ts'
import * as accountDeactivate from './account/deactivate.ts'
import * as accountPassword from './account/password.ts'
import * as accountWhoami from './account/whoami.ts'
import * as authFallbackWeb from './auth/fallback/web.ts'
import * as capabilities from './capabilities.ts'
import * as deleteDevices from './delete_devices.ts'
import * as devices from './devices.ts'
import * as keysChanges from './keys/changes.ts'
import * as keysClaim from './keys/claim.ts'
import * as keysDeviceSigningUpload from './keys/device_signing/upload.ts'
import * as keysQuery from './keys/query.ts'
import * as keysSignaturesUpload from './keys/signatures/upload.ts'
import * as keysUpload from './keys/upload.ts'
import * as login from './login.ts'
import * as loginGetToken from './login/get_token.ts'
import * as logout from './logout.ts'
import * as logoutAll from './logout/all.ts'
import * as profile from './profile.ts'
import * as refresh from './refresh.ts'
import * as register from './register.ts'
import * as registerAvailable from './register/available.ts'
import * as registrationTokenValidity from './register/m.login.registration_token/validity.ts'
import * as roomKeysKeys from './room_keys/keys.ts'
import * as roomKeysVersion from './room_keys/version.ts'
import * as sendToDevice from './sendToDevice.ts'
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
  authFallbackWeb,
  capabilities,
  deleteDevices,
  devices,
  keysChanges,
  keysClaim,
  keysDeviceSigningUpload,
  keysQuery,
  keysSignaturesUpload,
  keysUpload,
  login,
  loginGetToken,
  logout,
  logoutAll,
  profile,
  refresh,
  register,
  registerAvailable,
  registrationTokenValidity,
  roomKeysKeys,
  roomKeysVersion,
  sendToDevice,
  userAccountData,
  userFilter,
  userRoomsAccountData,
  userRoomsTags,
  versions,
  voipTurnServer,
)
