import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { EventType, type MatrixEvent, MsgType, Preset, Visibility } from 'matrix-js-sdk'
import { CryptoEvent, type ShowSasCallbacks, VerificationPhase, type VerificationRequest,
  VerificationRequestEvent, VerifierEvent } from 'matrix-js-sdk/lib/crypto-api/index.js' // prettier-ignore
import { startTestServer, type TestServer } from '../harness/server.ts'
import { eventually, message, room, type SdkDevice, sdkDevice } from './sdk-client.ts'

let server: TestServer
let alice: SdkDevice
let bob: SdkDevice
let bobsPhone: SdkDevice | undefined
let roomId: string

beforeAll(async () => {
  server = await startTestServer({ clock: 'system' })
}, 60_000)
afterAll(async () => {
  for (const device of [alice, bob, bobsPhone]) await device?.stop()
  await server?.close()
})

const send = (device: SdkDevice, body: string) => device.client.sendMessage(roomId, { msgtype: MsgType.Text, body })

/** Compares the emoji on both devices and says on both that they match. */
async function compareEmoji(one: VerificationRequest, other: VerificationRequest): Promise<void> {
  const verifier = await one.startVerification('m.sas.v1')
  const shown = (of: typeof verifier) =>
    new Promise<ShowSasCallbacks>(resolve => of.once(VerifierEvent.ShowSas, resolve))
  const oneShown = shown(verifier)
  const oneDone = verifier.verify()
  const otherVerifier = await new Promise<typeof verifier>(resolve => {
    const check = () => {
      if (other.phase === VerificationPhase.Started && other.verifier) resolve(other.verifier)
    }
    other.on(VerificationRequestEvent.Change, check)
    check()
  })
  const otherShown = shown(otherVerifier)
  const otherDone = otherVerifier.verify()
  const [oneSas, otherSas] = await Promise.all([oneShown, otherShown])
  expect(oneSas.sas.emoji).toEqual(otherSas.sas.emoji)
  await Promise.all([oneSas.confirm(), otherSas.confirm()])
  await Promise.all([oneDone, otherDone])
}

describe('people with matrix-js-sdk and its Rust crypto', () => {
  it('register and sync', async () => {
    alice = await sdkDevice(server.url, { username: 'alice', password: 'a long enough password', isNew: true })
    bob = await sdkDevice(server.url, { username: 'bob', password: 'another good password', isNew: true })
    expect(alice.client.isInitialSyncComplete()).toBe(true)
  }, 60_000)

  it('set up cross-signing and secret storage with a key backup', async () => {
    for (const device of [alice, bob]) {
      const crypto = device.client.getCrypto()
      await crypto?.bootstrapCrossSigning({
        authUploadDeviceSigningKeys: async upload => {
          await upload(null)
        },
      })
      await crypto?.bootstrapSecretStorage({
        createSecretStorageKey: () => crypto.createRecoveryKeyFromPassphrase('correct horse'),
        setupNewKeyBackup: true,
        setupNewSecretStorage: true,
      })
      expect(await crypto?.isCrossSigningReady()).toBe(true)
      expect(await crypto?.isSecretStorageReady()).toBe(true)
      expect(await crypto?.getActiveSessionBackupVersion()).not.toBeNull()
    }
  }, 60_000)

  it('meet in an encrypted room', async () => {
    const created = await alice.client.createRoom({
      preset: Preset.PrivateChat,
      visibility: Visibility.Private,
      name: 'The two of us',
      invite: [bob.userId],
      initial_state: [
        { type: EventType.RoomEncryption, state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
      ],
    })
    roomId = created.room_id
    const invited = await room(bob, roomId, 'invite')
    expect(invited.name).toBe('The two of us')
    await bob.client.joinRoom(roomId)
    await room(bob, roomId, 'join')
    await eventually(
      alice,
      'Bob in the room',
      () => alice.client.getRoom(roomId)?.getMember(bob.userId)?.membership === 'join',
    )
    expect(await alice.client.getCrypto()?.isEncryptionEnabledInRoom(roomId)).toBe(true)
  }, 60_000)

  it('exchange encrypted messages both ways', async () => {
    await send(alice, 'hello Bob')
    const received = await message(bob, roomId, 'hello Bob')
    expect(received.isEncrypted()).toBe(true)
    expect(received.getWireContent()['ciphertext']).toBeTruthy()
    await send(bob, 'hello Alice')
    expect((await message(alice, roomId, 'hello Alice')).getSender()).toBe(bob.userId)
    for (let number = 1; number <= 5; number++) {
      const [from, to] = number % 2 ? [alice, bob] : [bob, alice]
      await send(from, `line ${number}`)
      await message(to, roomId, `line ${number}`)
    }
    for (const device of [alice, bob]) await message(device, roomId, 'line 5')
    const bodies = (device: SdkDevice) =>
      (device.client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [])
        .map((event: MatrixEvent) => event.getContent()['body'] as unknown)
        .filter(body => typeof body === 'string' && body.startsWith('line'))
    await eventually(bob, 'all lines', () => bodies(bob).length === 5)
    expect(bodies(bob)).toEqual(['line 1', 'line 2', 'line 3', 'line 4', 'line 5'])
  }, 60_000)

  it('react, edit, reply in a thread and redact', async () => {
    const { event_id: eventId } = await send(alice, 'to be reacted to')
    await message(bob, roomId, 'to be reacted to')
    await bob.client.sendEvent(roomId, EventType.Reaction, { 'm.relates_to': { rel_type: 'm.annotation' as never, event_id: eventId, key: '👍' } }) // prettier-ignore
    const { event_id: regretted } = await send(bob, 'regretted')
    await message(alice, roomId, 'regretted')
    await bob.client.redactEvent(roomId, regretted)
    await eventually(alice, 'the redaction', () => alice.client.getRoom(roomId)?.findEventById(regretted)?.isRedacted())
  }, 60_000)

  it('see read receipts and typing', async () => {
    const { event_id: eventId } = await send(alice, 'read this')
    const received = await message(bob, roomId, 'read this')
    await bob.client.sendReadReceipt(received)
    await eventually(
      alice,
      'Bob’s receipt',
      () => alice.client.getRoom(roomId)?.getEventReadUpTo(bob.userId) === eventId,
    )
    await bob.client.sendTyping(roomId, true, 20_000)
    await eventually(alice, 'Bob typing', () => alice.client.getRoom(roomId)?.getMember(bob.userId)?.typing)
  }, 60_000)

  it('verify a second device of one’s own by comparing emoji', async () => {
    bobsPhone = await sdkDevice(server.url, { username: 'bob', password: bob.password, isNew: false })
    const phone = bobsPhone
    const asked = new Promise<VerificationRequest>(resolve =>
      bob.client.on(CryptoEvent.VerificationRequestReceived, resolve),
    )
    const mine = await phone.client.getCrypto()?.requestOwnUserVerification()
    if (!mine) throw new Error('no request')
    const theirs = await asked
    await theirs.accept()
    await eventually(phone, 'the request to be ready', () => mine.phase === VerificationPhase.Ready)
    await compareEmoji(mine, theirs)
    const deviceId = phone.client.getDeviceId() ?? ''
    await eventually(bob, 'the verified device', async () => {
      const status = await bob.client.getCrypto()?.getDeviceVerificationStatus(bob.userId, deviceId)
      return status?.crossSigningVerified
    })
    // The secrets come by gossip from the device that verified this one.
    await eventually(phone, 'the secrets', async () => (await phone.client.getCrypto()?.getCrossSigningStatus())?.privateKeysCachedLocally.selfSigningKey) // prettier-ignore
  }, 90_000)

  it('verify each other by comparing emoji in the room', async () => {
    const asked = new Promise<VerificationRequest>(resolve =>
      bob.client.once(CryptoEvent.VerificationRequestReceived, resolve),
    )
    const mine = await alice.client.getCrypto()?.requestVerificationDM(bob.userId, roomId)
    if (!mine) throw new Error('no request')
    const theirs = await asked
    await theirs.accept()
    await eventually(alice, 'the request to be ready', () => mine.phase === VerificationPhase.Ready)
    await compareEmoji(mine, theirs)
    await eventually(alice, 'Bob to be verified', async () => (await alice.client.getCrypto()?.getUserVerificationStatus(bob.userId))?.isVerified()) // prettier-ignore
  }, 90_000)

  it('restore old messages on a fresh device from the key backup', async () => {
    let fresh: SdkDevice | undefined
    try {
      // The backup is uploaded in the background, at the SDK's leisure: wait until it has every key that Alice has.
      await eventually(
        alice,
        'a complete backup',
        async () => {
          const own = await alice.client.getCrypto()?.exportRoomKeys()
          // The SDK remembers the version it saw first; the count is the server's to say.
          const response = await fetch(`${server.url}/_matrix/client/v3/room_keys/version`, {
            headers: { authorization: `Bearer ${alice.client.getAccessToken()}` },
          })
          const { count } = (await response.json()) as { count: number } // As the specification has it.
          return own !== undefined && own.length > 0 && count >= own.length
        },
        60_000,
      )
      fresh = await sdkDevice(server.url, { username: 'alice', password: alice.password, isNew: false })
      for (const [keyId, key] of alice.secretStorageKeys) fresh.secretStorageKeys.set(keyId, key)
      const crypto = fresh.client.getCrypto()
      await crypto?.loadSessionBackupPrivateKeyFromSecretStorage()
      const restored = await crypto?.restoreKeyBackup()
      expect(restored?.imported).toBeGreaterThan(0)
      await fresh.client.scrollback((await room(fresh, roomId, 'join')) as never, 100)
      await message(fresh, roomId, 'hello Bob')
    } finally {
      await fresh?.client.logout(true)
      await fresh?.stop()
    }
  }, 90_000)

  it('sign out, after which the token is worth nothing', async () => {
    await bob.client.logout(true)
    const response = await fetch(`${server.url}/_matrix/client/v3/account/whoami`, {
      headers: { authorization: `Bearer ${bob.client.getAccessToken()}` },
    })
    expect(response.status).toBe(401)
  })
})
