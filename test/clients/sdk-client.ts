import { ClientEvent, createClient, type ICreateClientOpts, type MatrixClient, MemoryStore, type MatrixEvent, type Room, RoomEvent, SyncState } from 'matrix-js-sdk' // prettier-ignore
import { type Logger, logger as sdkLogger } from 'matrix-js-sdk/lib/logger.js'

const silence = () => undefined

/** The SDK says a lot on the console; the tests say what matters. */
const logger: Logger = {
  trace: silence,
  debug: silence,
  info: silence,
  warn: silence,
  error: silence,
  getChild: () => logger,
}

// Some of it is said past the logger that a client is given, also by timers that outlive the client. The logger is loglevel's,
// which the SDK's types do not tell; those made from it later take after it.
const root = sdkLogger as unknown as { methodFactory: () => () => void; rebuild(): void }
root.methodFactory = () => silence
root.rebuild()

/** One device of somebody who uses matrix-js-sdk with its Rust crypto, as Element Web does. */
export interface SdkDevice {
  readonly client: MatrixClient
  readonly userId: string
  readonly password: string
  /** Where this device keeps the keys of secret storage once it has made or been told them. */
  readonly secretStorageKeys: Map<string, Uint8Array<ArrayBuffer>>
  stop(): Promise<void>
}

/** Registers an account, or signs in to it, and starts a syncing client with encryption. `forgets`: with the SDK's support for
 *  retention on. */
export async function sdkDevice(
  baseUrl: string,
  account: {
    readonly username: string
    readonly password: string
    readonly isNew: boolean
    readonly forgets?: boolean
  },
): Promise<SdkDevice> {
  const { username, password, isNew, forgets = false } = account
  const anonymous = createClient({ baseUrl, logger })
  const session = isNew
    ? await anonymous.registerRequest({ username, password, auth: { type: 'm.login.dummy' } })
    : await anonymous.loginRequest({
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: username },
        password,
      })
  const secretStorageKeys = new Map<string, Uint8Array<ArrayBuffer>>()
  const options: ICreateClientOpts = {
    baseUrl,
    userId: session.user_id,
    deviceId: session.device_id ?? '',
    accessToken: session.access_token ?? '',
    store: new MemoryStore(),
    unstableMSC1763Retention: forgets,
    logger,
    cryptoCallbacks: {
      getSecretStorageKey: ({ keys }) => {
        const known = Object.keys(keys).find(keyId => secretStorageKeys.has(keyId))
        const key = known === undefined ? undefined : secretStorageKeys.get(known)
        return Promise.resolve(known !== undefined && key ? [known, key] : null)
      },
      cacheSecretStorageKey: (keyId, _info, key) => void secretStorageKeys.set(keyId, key),
    },
  }
  const client = createClient(options)
  await client.initRustCrypto({ useIndexedDB: false })
  client.getCrypto()?.setTrustCrossSignedDevices(true)
  const synced = new Promise<void>(resolve => {
    const listen = (state: SyncState) => {
      if (state !== SyncState.Prepared && state !== SyncState.Syncing) return
      client.off(ClientEvent.Sync, listen)
      resolve()
    }
    client.on(ClientEvent.Sync, listen)
  })
  await client.startClient({ initialSyncLimit: 20, lazyLoadMembers: true, pollTimeout: 10_000 })
  await synced
  return {
    client,
    userId: session.user_id,
    password,
    secretStorageKeys,
    stop() {
      client.stopClient()
      return Promise.resolve()
    },
  }
}

/** Resolves with what `look` finds, looking now and whenever the client has synced; rejects after `timeoutMs`. */
export function eventually<T>(
  device: SdkDevice,
  what: string,
  look: () => T | null | undefined | false | Promise<T | null | undefined | false>,
  timeoutMs = 20_000,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const { client } = device
    const finish = () => {
      client.off(ClientEvent.Sync, check)
      client.off(RoomEvent.Timeline, check)
      client.off(ClientEvent.Event, check)
      clearInterval(interval)
      clearTimeout(timeout)
    }
    const check = () => {
      Promise.resolve(look()).then(found => {
        if (found === null || found === undefined || found === false) return
        finish()
        resolve(found)
      }, reject)
    }
    // Decryption and key requests end without an event of the client's that could be waited for.
    const interval = setInterval(check, 50)
    const timeout = setTimeout(() => {
      finish()
      reject(new Error(`${device.userId} waited in vain for ${what}`))
    }, timeoutMs)
    client.on(ClientEvent.Sync, check)
    client.on(RoomEvent.Timeline, check)
    client.on(ClientEvent.Event, check)
    check()
  })
}

/** The decrypted message with this body in the room, once the device shows it. */
export function message(device: SdkDevice, roomId: string, body: string): Promise<MatrixEvent> {
  return eventually(device, `the message "${body}"`, () =>
    device.client
      .getRoom(roomId)
      ?.getLiveTimeline()
      .getEvents()
      .find(event => event.getType() === 'm.room.message' && event.getContent()['body'] === body),
  )
}

/** The room, once the device has been told of it with this membership. */
export function room(device: SdkDevice, roomId: string, membership: string): Promise<Room> {
  return eventually(device, `${membership} in a room`, () => {
    const found = device.client.getRoom(roomId)
    return found?.getMyMembership() === membership ? found : null
  })
}
