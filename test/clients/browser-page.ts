// Bundled for the browser, where the tests call it as `chat`: what goes in and comes out must be plain values.
import { ClientEvent, createClient, EventType, IndexedDBStore, type MatrixClient, MatrixError, type MatrixEvent, MsgType, Preset, type Room, RoomEvent, SyncState } from 'matrix-js-sdk' // prettier-ignore

/** What the browser has beyond what this project's other code knows. */
declare const indexedDB: NonNullable<ConstructorParameters<typeof IndexedDBStore>[0]>['indexedDB']
declare const localStorage: { getItem(key: string): string | null; setItem(key: string, value: string): void }
declare function createImageBitmap(blob: Blob): Promise<{ readonly width: number; readonly height: number }>

interface Session {
  readonly baseUrl: string
  readonly userId: string
  readonly deviceId: string
  readonly accessToken: string
}

/** What a page can see of an answer. */
export interface SeenAnswer {
  readonly status: number
  readonly errcode: unknown
  readonly retryAfter: string | null
}

const waitLimitMs = 20_000
let current: MatrixClient | null = null

function client(): MatrixClient {
  if (!current) throw new Error('nobody is signed in')
  return current
}

/** Registers as web clients do: asks for the stages first, then completes them. Returns the stages that were offered. */
export async function signUp(baseUrl: string, username: string, password: string): Promise<string[][]> {
  const anonymous = createClient({ baseUrl })
  const refused: unknown = await anonymous.registerRequest({ username, password }).then(
    () => null,
    (error: unknown) => error,
  )
  if (!(refused instanceof MatrixError) || refused.httpStatus !== 401) throw new Error('no stages were asked for')
  const { session, flows } = refused.data as { session?: string; flows?: { stages: string[] }[] } // The spec's 401.
  const auth = { type: 'm.login.dummy', ...(session === undefined ? {} : { session }) }
  await anonymous.registerRequest({ username, password, auth, inhibit_login: true })
  return (flows ?? []).map(({ stages }) => stages)
}

/** Signs in, remembers the session, and starts to sync. */
export async function signIn(baseUrl: string, username: string, password: string): Promise<string> {
  const answer = await createClient({ baseUrl }).loginRequest({
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: username },
    password,
  })
  const session: Session = {
    baseUrl,
    userId: answer.user_id,
    deviceId: answer.device_id,
    accessToken: answer.access_token,
  }
  localStorage.setItem('session', JSON.stringify(session))
  await start(session)
  return session.userId
}

/** Carries on with the session that the browser remembers; returns the rooms that it remembers as well. */
export async function resume(): Promise<string[]> {
  const remembered = localStorage.getItem('session')
  if (remembered === null) throw new Error('no session is remembered')
  await start(JSON.parse(remembered) as Session) // Written by `signIn`.
  return client()
    .getRooms()
    .map(({ roomId }) => roomId)
}

async function start({ baseUrl, userId, deviceId, accessToken }: Session): Promise<void> {
  // The store wants the browser's whole storage; it uses no more of it than this.
  const store = new IndexedDBStore({ indexedDB, dbName: 'chat' })
  await store.startup()
  const starting = createClient({ baseUrl, userId, deviceId, accessToken, store, timelineSupport: true })
  current = starting
  await starting.initRustCrypto()
  const synced = new Promise<void>(resolve => {
    const listen = (state: SyncState, _before: SyncState | null, data?: { fromCache?: boolean }) => {
      if (data?.fromCache === true || (state !== SyncState.Prepared && state !== SyncState.Syncing)) return
      starting.off(ClientEvent.Sync, listen)
      resolve()
    }
    starting.on(ClientEvent.Sync, listen)
  })
  await starting.startClient({ lazyLoadMembers: true, pollTimeout: 10_000 })
  await synced
}

/** Writes what is known to the browser's database, as clients do from time to time. */
export async function save(): Promise<void> {
  await client().store.save(true)
}

/** Signs out and forgets everything. */
export async function signOut(): Promise<void> {
  await client().logout(true)
  await client().clearStores()
}

/** Resolves with what `look` finds, now or after an event of the client's. */
function found<T>(what: string, look: () => T | null | undefined): Promise<T> {
  const from = client()
  return new Promise((resolve, reject) => {
    const finish = () => {
      clearTimeout(timeout)
      clearInterval(interval)
      from.off(ClientEvent.Sync, check)
      from.off(RoomEvent.Timeline, check)
    }
    const check = () => {
      const value = look()
      if (value === null || value === undefined) return
      finish()
      resolve(value)
    }
    const timeout = setTimeout(() => {
      finish()
      reject(new Error(`waited in vain for ${what}`))
    }, waitLimitMs)
    // Decryption ends without an event of the client's.
    const interval = setInterval(check, 50)
    from.on(ClientEvent.Sync, check)
    from.on(RoomEvent.Timeline, check)
    check()
  })
}

const isMine = (room: Room, membership: string) => room.getMyMembership() === membership

/** Makes a private room, encrypted or not, and returns its ID. */
export async function createRoom(invited: string, isEncrypted: boolean): Promise<string> {
  const encryption = { type: EventType.RoomEncryption, state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }
  const { room_id: roomId } = await client().createRoom({
    preset: Preset.TrustedPrivateChat,
    invite: [invited],
    initial_state: isEncrypted ? [encryption] : [],
  })
  return roomId
}

/** Accepts the invitation to a room once it has come. */
export async function accept(roomId: string): Promise<void> {
  const invited = (room: Room | null) => (room && isMine(room, 'invite') ? room : null)
  await found('the invitation', () => invited(client().getRoom(roomId)))
  await client().joinRoom(roomId)
  await found('the room', () => (client().getRoom(roomId)?.getMyMembership() === 'join' ? true : null))
}

/** Waits until somebody is seen in a room. */
export async function seeMember(roomId: string, userId: string): Promise<void> {
  await found(`${userId} in the room`, () =>
    client().getRoom(roomId)?.getMember(userId)?.membership === 'join' ? true : null,
  )
}

/** Sends a text; returns the event's ID. */
export async function say(roomId: string, body: string): Promise<string> {
  return (await client().sendMessage(roomId, { msgtype: MsgType.Text, body })).event_id
}

const bodyOf = (event: MatrixEvent): unknown => event.getContent()['body']

function eventSaying(roomId: string, body: string): Promise<MatrixEvent> {
  return found(`"${body}"`, () =>
    client()
      .getRoom(roomId)
      ?.getLiveTimeline()
      .getEvents()
      .find(event => event.getType() === 'm.room.message' && bodyOf(event) === body),
  )
}

/** Waits for a message; returns who sent it and whether it came encrypted. */
export async function hear(roomId: string, body: string): Promise<{ sender: string | null; isEncrypted: boolean }> {
  const event = await eventSaying(roomId, body)
  return { sender: event.getSender() ?? null, isEncrypted: event.isEncrypted() }
}

const bytesOf = (base64: string) => Uint8Array.from(atob(base64), character => character.charCodeAt(0))

/** Uploads a picture, with a progress bar, and sends it. Returns the share of it that the last news said was uploaded. */
export async function sendPicture(roomId: string, name: string, type: string, base64: string): Promise<number> {
  let progress = 0
  const file = new Blob([bytesOf(base64)], { type })
  const { content_uri: url } = await client().uploadContent(file, {
    name,
    type,
    progressHandler: ({ loaded, total }) => (progress = loaded / total),
  })
  await client().sendMessage(roomId, { msgtype: MsgType.Image, body: name, url, info: { mimetype: type } })
  return progress
}

/** Fetches the picture of a message with the token, whole or as a thumbnail of at most 96 by 96, and decodes it. */
export async function seePicture(
  roomId: string,
  name: string,
  what: 'whole' | 'thumbnail',
): Promise<{ type: string; width: number; height: number; bytes: number }> {
  const event = await eventSaying(roomId, name)
  const uri = String(event.getContent()['url'])
  const [side, method] = what === 'whole' ? [] : [96, 'scale']
  const url = client().mxcUrlToHttp(uri, side, side, method, false, true, true)
  if (url === null) throw new Error('not an mxc URI')
  const answer = await fetch(url, { headers: { authorization: `Bearer ${client().getAccessToken() ?? ''}` } })
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`)
  const blob = await answer.blob()
  const { width, height } = await createImageBitmap(blob)
  return { type: blob.type, width, height, bytes: blob.size }
}

/** Makes a request with the token of the session, if there is one, and says what the page may read of the answer. */
export async function ask(method: string, url: string, bodyBytes: number | null = null): Promise<SeenAnswer> {
  const token = current?.getAccessToken()
  const answer = await fetch(url, {
    method,
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    ...(bodyBytes === null ? {} : { body: new Uint8Array(bodyBytes).fill(0x20) }),
  })
  const text = await answer.text()
  const body = (text === '' ? {} : JSON.parse(text)) as { errcode?: unknown } // Every answer of the API is an object.
  return { status: answer.status, errcode: body.errcode, retryAfter: answer.headers.get('retry-after') }
}

/** The error's name when a page of another origin may not be read, else its status. */
export function peek(url: string): Promise<string | number> {
  return fetch(url).then(
    answer => answer.status,
    (error: Error) => error.name,
  )
}
