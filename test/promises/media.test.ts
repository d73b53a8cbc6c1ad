import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { mkdir, readdir } from 'node:fs/promises'
import { sweep } from '../../src/retention/sweeper.ts'
import { path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { downloadAs, uploadAs } from '../api/media-server.ts'
import { day, hour } from './rooms.ts'

let server: TestServer
let alice: Person
let bob: Person
beforeAll(async () => {
  server = await startTestServer({ loops: [], settings: { media: { lifetime: '2d' } } })
  alice = await register(server)
  bob = await register(server)
})
afterAll(() => server.close())

const uri = (mediaId: string) => `mxc://lethe.test/${mediaId}`
const image = (mediaId: string) => ({ msgtype: 'm.image', body: 'picture', url: uri(mediaId) })
const status = async (mediaId: string) => (await downloadAs(alice, mediaId)).status
/** How many files the media store has. */
async function files(): Promise<number> {
  await mkdir(server.config.media.store.path, { recursive: true })
  const entries = await readdir(server.config.media.store.path, { recursive: true, withFileTypes: true })
  return entries.filter(entry => entry.isFile()).length
}

async function shortLivedRoom(): Promise<string> {
  const room = await alice.createRoom({ preset: 'public_chat' })
  await alice.setState(room, 'm.room.retention', { max_lifetime: hour })
  return room
}

describe('promise 11: media dies with its lifetime, its deletion or its account', () => {
  it('promise 11: with the last message that shows it, its file and its thumbnail too', async () => {
    const room = await shortLivedRoom()
    const before = await files()
    const mediaId = await uploadAs(alice, 'picture', 'image/png')
    const thumbnail = await uploadAs(alice, 'small', 'image/png')
    const inText = await uploadAs(alice, 'emote', 'image/png')
    await alice.send(room, { ...image(mediaId), info: { thumbnail_url: uri(thumbnail) } })
    await alice.send(room, { msgtype: 'm.text', body: ':x:', formatted_body: `<img src="${uri(inText)}" alt=":x:">` })
    await server.clock.advance(hour / 2)
    await alice.send(room, image(mediaId))
    expect(await files()).toBe(before + 3)
    await server.clock.advance(hour / 2 + 1)
    await sweep(server.ctx)
    expect([await status(mediaId), await status(thumbnail), await status(inText)]).toEqual([200, 404, 404])
    expect(await files()).toBe(before + 1)
    await server.clock.advance(hour / 2)
    await sweep(server.ctx)
    expect([await status(mediaId), await files()]).toEqual([404, before])
  })

  it('promise 11: with a redaction at once, and with the file at the next sweep', async () => {
    const room = await alice.createRoom()
    const before = await files()
    const mediaId = await uploadAs(alice, 'picture', 'image/png')
    const event = await alice.send(room, image(mediaId))
    expect(await status(mediaId)).toBe(200)
    await alice.redact(room, event)
    expect([await status(mediaId), await files()]).toEqual([404, before + 1])
    await sweep(server.ctx)
    expect(await files()).toBe(before)
  })

  it('promise 11: what others only show is not theirs to have deleted, and what they pass on stays with them', async () => {
    const room = await shortLivedRoom()
    const elsewhere = await bob.createRoom()
    const encrypted = await uploadAs(alice, 'ciphertext')
    await bob.redact(elsewhere, await bob.send(elsewhere, image(encrypted)))
    expect(await status(encrypted)).toBe(200)

    const passedOn = await uploadAs(alice, 'picture')
    await alice.send(room, image(passedOn))
    const copy = await bob.send(elsewhere, image(passedOn))
    await server.clock.advance(hour + 1)
    await sweep(server.ctx)
    expect(await status(passedOn)).toBe(200)
    await bob.redact(elsewhere, copy)
    expect(await status(passedOn)).toBe(404)
  })

  it('promise 11: what nothing readable shows has a lifetime of its own, and what is shown has not', async () => {
    const room = await alice.createRoom()
    const loose = await uploadAs(alice, 'ciphertext')
    const shown = await uploadAs(alice, 'picture')
    const face = await uploadAs(alice, 'face')
    const logo = await uploadAs(alice, 'logo')
    await alice.send(room, { ciphertext: uri(loose) }, 'm.room.encrypted')
    await alice.send(room, image(shown))
    await alice.put(path`/profile/${alice.userId}/avatar_url`, { avatar_url: uri(face) })
    await alice.setState(room, 'm.room.avatar', { url: uri(logo) })
    await server.clock.advance(2 * day - 1)
    await sweep(server.ctx)
    expect(await status(loose)).toBe(200)
    await server.clock.advance(1)
    expect(await status(loose)).toBe(404)
    await sweep(server.ctx)
    // Whatever other tests left was loose too.
    expect(await files()).toBe(3)
    await server.clock.advance(100 * day)
    await sweep(server.ctx)
    expect([await status(shown), await status(face), await status(logo)]).toEqual([200, 200, 200])
  })

  it('promise 11: old avatars go when nothing shows them, and the present ones stay', async () => {
    const bob = await register(server)
    const room = await shortLivedRoom()
    const [face, logo, newFace, newLogo] = [
      await uploadAs(bob, 'face'), await uploadAs(alice, 'logo'), await uploadAs(bob, 'new face'), await uploadAs(alice, 'new logo'),
    ] // prettier-ignore
    await bob.put(path`/profile/${bob.userId}/avatar_url`, { avatar_url: uri(face) })
    await bob.join(room)
    await alice.setState(room, 'm.room.avatar', { url: uri(logo) })
    await bob.put(path`/profile/${bob.userId}/avatar_url`, { avatar_url: uri(newFace) })
    await alice.setState(room, 'm.room.avatar', { url: uri(newLogo) })
    expect([await status(face), await status(logo)]).toEqual([200, 200])
    await server.clock.advance(hour + 1)
    await sweep(server.ctx)
    expect([await status(face), await status(logo), await status(newFace), await status(newLogo)]).toEqual([
      404, 404, 200, 200,
    ])
    await server.clock.advance(100 * day)
    await sweep(server.ctx)
    expect([await status(newFace), await status(newLogo)]).toEqual([200, 200])
  })

  it('promise 11: by the server’s default where uploads have no lifetime of their own, and never where neither is set', async () => {
    const mediaId = await uploadAs(alice, 'ciphertext')
    const never = await server.restart({ media: { lifetime: null } })
    server = never
    const caller = await register(server)
    await server.clock.advance(100 * day)
    await sweep(server.ctx)
    expect((await downloadAs(caller, mediaId)).status).toBe(200)
    server = await server.restart({ media: { lifetime: null }, retention: { default: { max_lifetime: '30d' } } })
    const other = await register(server)
    // It has been there for longer.
    expect((await downloadAs(other, mediaId)).status).toBe(404)
  })
})
