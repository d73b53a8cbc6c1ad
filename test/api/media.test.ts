import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { fillMedia } from '../../src/media/upload.ts'
import { userIdOf } from '../../src/protocol/identifiers.ts'
import { systemRandom } from '../../src/random.ts'
import { Readable } from 'node:stream'
import { nobody, path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import {
  codeOf, createAs, downloadAs, fillAs, inventoryAtRest, inventoryOf,  uploadAs,
} from './media-server.ts' // prettier-ignore

let server: TestServer
let alice: Person
let bob: Person
beforeAll(async () => {
  // No loops: the tests count the clock's timers.
  server = await startTestServer({ settings: { media: { max_upload_bytes: 100_000 } }, loops: [] })
  alice = await register(server, 'alice')
  bob = await register(server, 'bob')
})
afterAll(() => server.close())

const bytes = randomBytes(90_000)
const day = 24 * 3_600_000

describe('an upload', () => {
  it('can be downloaded by anybody who is signed in, byte for byte', async () => {
    const mediaId = await uploadAs(alice, bytes, 'image/png', 'picture.png')
    const done = await downloadAs(bob, mediaId)
    expect(done.status).toBe(200)
    expect(done.bytes.equals(bytes)).toBe(true)
    expect(done.headers).toMatchObject({
      'content-type': 'image/png',
      'content-length': '90000',
      'content-disposition': 'inline; filename="picture.png"',
      'content-security-policy':
        "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; media-src 'self'; object-src 'self'",
      'cross-origin-resource-policy': 'cross-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'cache-control': 'private, max-age=86400, immutable',
      'access-control-allow-origin': '*',
    })
  })

  it('has an ID that no command line takes for an option', async () => {
    // Bytes that begin so are written with a hyphen first.
    const bytesOf = (length: number) => Uint8Array.from(systemRandom.bytes(length)).fill(0xfb, 0, 1)
    const unlucky = await startTestServer({ loops: [], random: { ...systemRandom, bytes: bytesOf } })
    const user = await register(unlucky)
    const ids = [await uploadAs(user, 'one'), await uploadAs(user, 'two'), await createAs(user)]
    expect(new Set(ids).size).toBe(3)
    for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9][A-Za-z0-9_-]{23}$/)
    await unlucky.close()
  })

  it('needs neither a type nor a name nor content', async () => {
    const done = await downloadAs(alice, await uploadAs(alice, ''))
    expect([done.status, done.bytes.length]).toEqual([200, 0])
    expect(done.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment',
    })
  })

  it.each([
    ['TEXT/HTML', 'text/html; charset=utf-8', 'attachment'],
    ['text/html;x=y', 'text/html; x=y; charset=utf-8', 'attachment'],
    ['image/png, text/html', 'application/octet-stream', 'attachment'],
    ['image/svg+xml', 'image/svg+xml', 'attachment'],
    ['Text/Plain; charset=utf-8', 'text/plain; charset=utf-8', 'inline'],
  ])('of the type %p is served as %p, %s', async (sent, type, disposition) => {
    const { headers } = await downloadAs(alice, await uploadAs(alice, '<script>alert(1)</script>', sent))
    expect([headers['content-type'], headers['content-disposition']]).toEqual([type, disposition])
    expect(headers['content-security-policy']).toContain('sandbox')
    expect(headers['x-content-type-options']).toBe('nosniff')
  })

  it('keeps its name, whatever language it is in, without control characters', async () => {
    const nameOf = async (filename: string) =>
      (await downloadAs(alice, await uploadAs(alice, 'x', 'image/png', filename))).headers['content-disposition']
    expect(await nameOf('name;with;semicolons')).toBe('inline; filename="name;with;semicolons"')
    expect(await nameOf('🐔')).toBe("inline; filename*=utf-8''%F0%9F%90%94")
    expect(await nameOf('a\r\nX-Evil: b\0')).toBe('inline; filename="aX-Evil: b"')
    expect(await nameOf('')).toBe('inline')
  })

  it('can be downloaded under another name', async () => {
    const mediaId = await uploadAs(alice, 'x', 'image/png', 'picture.png')
    const nameOf = async (name: string) => {
      const done = await alice.request('GET', path`/_matrix/client/v1/media/download/lethe.test/${mediaId}/${name}`)
      return done.headers['content-disposition']
    }
    expect(await nameOf('file.png')).toBe('inline; filename="file.png"')
    expect(await nameOf('☕')).toBe("inline; filename*=utf-8''%E2%98%95")
    expect(await nameOf('../../a')).toBe('inline; filename="../../a"')
  })

  it('answers HEAD with the headers alone', async () => {
    const mediaId = await uploadAs(alice, bytes)
    const done = await alice.request('HEAD', path`/_matrix/client/v1/media/download/lethe.test/${mediaId}`)
    expect([done.status, done.headers['content-length'], done.bytes.length]).toEqual([200, '90000', 0])
  })

  it('is refused when it is too large, announced or not, and nothing of it stays', async () => {
    const before = await inventoryOf(server)
    expect(codeOf(await alice.request('POST', '/_matrix/media/v3/upload', randomBytes(100_001)))).toEqual([413, 'M_TOO_LARGE']) // prettier-ignore
    const chunked = { 'Transfer-Encoding': 'chunked' }
    const done = await alice.request('POST', '/_matrix/media/v3/upload', randomBytes(300_000), { headers: chunked })
    expect(codeOf(done)).toEqual([413, 'M_TOO_LARGE'])
    expect(await inventoryOf(server)).toEqual(before)
    expect((await downloadAs(alice, await uploadAs(alice, randomBytes(100_000)))).bytes.length).toBe(100_000)
  })

  it('that breaks off leaves nothing', async () => {
    const before = await inventoryOf(server)
    const { port } = new URL(server.url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(
      `POST /_matrix/media/v3/upload HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${alice.accessToken}\r\nContent-Length: 50000\r\n\r\n`,
    )
    socket.write(Buffer.alloc(20_000))
    while ((await inventoryOf(server)).notes === 0);
    socket.destroy()
    expect(await inventoryAtRest(server)).toEqual(before)
  })

  it('is refused with a name of more than 1,024 bytes', async () => {
    const options = { query: { filename: 'x'.repeat(1_025) } }
    expect(codeOf(await alice.request('POST', '/_matrix/media/v3/upload', 'x', options))).toEqual([400, 'M_INVALID_PARAM']) // prettier-ignore
  })

  it('is not taken from guests, who may still look, nor from the suspended', async () => {
    const mediaId = await uploadAs(alice, 'x')
    const guest = await register(server, 'guest')
    const villain = await register(server, 'villain')
    const flag = (who: Person, column: string) =>
      server.ctx.db.pool.query(
        `UPDATE accounts SET ${column} = true FROM users WHERE accounts.user_number = users.user_number AND user_id = $1`,
        [who.userId],
      )
    await flag(guest, 'is_guest')
    await flag(villain, 'is_suspended')
    expect(codeOf(await guest.request('POST', '/_matrix/media/v3/upload', 'x'))).toEqual([403, 'M_GUEST_ACCESS_FORBIDDEN']) // prettier-ignore
    expect((await downloadAs(guest, mediaId)).status).toBe(200)
    expect(codeOf(await villain.request('POST', '/_matrix/media/v3/upload', 'x'))).toEqual([403, 'M_USER_SUSPENDED'])
    expect(codeOf(await villain.request('POST', '/_matrix/media/v1/create', {}))).toEqual([403, 'M_USER_SUSPENDED'])
    expect((await downloadAs(villain, mediaId)).status).toBe(200)
  })
})

describe('media', () => {
  it('is nothing to those who are not signed in', async () => {
    const mediaId = await uploadAs(alice, 'x')
    const caller = nobody(server)
    for (const [method, target] of [
      ['POST', '/_matrix/media/v3/upload'],
      ['PUT', path`/_matrix/media/v3/upload/lethe.test/${mediaId}`],
      ['POST', '/_matrix/media/v1/create'],
      ['GET', '/_matrix/media/v3/config'],
      ['GET', '/_matrix/client/v1/media/config'],
      ['GET', path`/_matrix/client/v1/media/download/lethe.test/${mediaId}`],
      ['GET', path`/_matrix/client/v1/media/download/lethe.test/${mediaId}/name`],
      ['GET', path`/_matrix/client/v1/media/thumbnail/lethe.test/${mediaId}`],
    ] as const) {
      expect([target, ...codeOf(await caller.request(method, target))]).toEqual([target, 401, 'M_MISSING_TOKEN'])
    }
  })

  it('cannot be had under the addresses of old, which asked for no token', async () => {
    const mediaId = await uploadAs(alice, 'x')
    for (const what of ['download', 'thumbnail']) {
      const done = await alice.request('GET', path`/_matrix/media/v3/${what}/lethe.test/${mediaId}`)
      expect(codeOf(done)).toEqual([404, 'M_UNRECOGNIZED'])
    }
  })

  it('that is unknown, or another server’s, is not found', async () => {
    const mediaId = await uploadAs(alice, 'x')
    expect(codeOf(await downloadAs(alice, 'unknown'))).toEqual([404, 'M_NOT_FOUND'])
    for (const what of ['download', 'thumbnail']) {
      const target = path`/_matrix/client/v1/media/${what}/other.test/${mediaId}`
      const done = await alice.request('GET', target, undefined, { query: { width: 1, height: 1 } })
      expect(codeOf(done)).toEqual([404, 'M_NOT_FOUND'])
    }
  })

  it.each([
    ['lethe.test', '..%2F..%2Fetc%2Fpasswd'],
    ['lethe.test', '%2e%2e%2fetc'],
    ['lethe.test', '%252e%252e'],
    ['lethe.test', 'a%00'],
    ['lethe.test', '%2Fetc%2Fpasswd'],
    ['lethe.test', 'a.b'],
    ['lethe.test', '%C3%A9'],
    ['lethe.test', 'a'.repeat(300)],
    ['..%2F..', 'abc'],
    ['lethe.test%2F..', 'abc'],
    ['lethe.test%00', 'abc'],
    ['%2Fetc', 'abc'],
    ['a'.repeat(300), 'abc'],
  ])('cannot lead out of its place: %p, %p', async (serverName, mediaId) => {
    for (const target of [
      `/_matrix/client/v1/media/download/${serverName}/${mediaId}`,
      `/_matrix/client/v1/media/download/${serverName}/${mediaId}/name`,
      `/_matrix/client/v1/media/thumbnail/${serverName}/${mediaId}?width=1&height=1`,
    ]) {
      expect(codeOf(await alice.request('GET', target))).toEqual([400, 'M_INVALID_PARAM'])
    }
    const put = await alice.request('PUT', `/_matrix/media/v3/upload/${serverName}/${mediaId}`, 'x')
    expect(codeOf(put)).toEqual([400, 'M_INVALID_PARAM'])
  })

  it('says how large an upload may be', async () => {
    for (const target of ['/_matrix/media/v3/config', '/_matrix/media/r0/config', '/_matrix/client/v1/media/config']) {
      expect(await alice.get(target)).toEqual({ 'm.upload.size': 100_000 })
    }
  })
})

describe('an ID that was made before its content', () => {
  it('says until when it waits, and takes content once', async () => {
    const carol = await register(server, 'carol')
    const made = await carol.expect('POST', '/_matrix/media/v1/create')
    expect(made).toEqual({
      content_uri: expect.stringMatching(/^mxc:\/\/lethe\.test\/[A-Za-z0-9_-]{24}$/),
      unused_expires_at: server.clock.now() + day,
    })
    const mediaId = await createAs(carol)
    expect((await fillAs(carol, mediaId, 'content')).json).toEqual({})
    expect((await downloadAs(alice, mediaId)).bytes.toString()).toBe('content')
    expect(codeOf(await fillAs(carol, mediaId, 'other'))).toEqual([409, 'M_CANNOT_OVERWRITE_MEDIA'])
    expect(codeOf(await fillAs(carol, mediaId))).toEqual([409, 'M_CANNOT_OVERWRITE_MEDIA'])
    expect((await downloadAs(alice, mediaId)).bytes.toString()).toBe('content')
  })

  it('takes content from whoever made it alone', async () => {
    const carol = await register(server, 'carol2')
    const mediaId = await createAs(carol)
    expect(codeOf(await fillAs(bob, mediaId, 'x'))).toEqual([403, 'M_FORBIDDEN'])
    expect(codeOf(await fillAs(bob, 'unknown', 'x'))).toEqual([404, 'M_NOT_FOUND'])
    expect(codeOf(await fillAs(bob, await uploadAs(alice, 'x'), 'x'))).toEqual([403, 'M_FORBIDDEN'])
    expect(codeOf(await carol.request('PUT', path`/_matrix/media/v3/upload/other.test/${mediaId}`, 'x'))).toEqual([404, 'M_NOT_FOUND']) // prettier-ignore
    expect(codeOf(await fillAs(carol, mediaId, randomBytes(100_001)))).toEqual([413, 'M_TOO_LARGE'])
    expect((await fillAs(carol, mediaId, 'x')).status).toBe(200)
  })

  it('takes one of two contents that come at once', async () => {
    const carol = await register(server, 'carol3')
    const mediaId = await createAs(carol)
    const contents = ['one', 'two', 'three', 'four']
    const done = await Promise.all(contents.map(content => fillAs(carol, mediaId, content)))
    const winners = contents.filter((_, index) => done[index]?.status === 200)
    expect(done.map(each => each.status).sort()).toEqual([200, 409, 409, 409])
    expect([(await downloadAs(carol, mediaId)).bytes.toString()]).toEqual(winners)
    expect(await inventoryAtRest(server)).toMatchObject({ notes: 0 })
  })

  it('is one of five at a time', async () => {
    const dave = await register(server, 'dave')
    const made = await Promise.all(
      Array.from({ length: 12 }, () => dave.request('POST', '/_matrix/media/v1/create', {})),
    )
    expect(made.filter(each => each.status === 200).length).toBe(5)
    const refused = made.find(each => each.status !== 200)
    expect(refused?.status).toBe(429)
    expect(refused?.json).toMatchObject({ errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: expect.any(Number) })
    await createAs(await register(server, 'dora'))
    await server.clock.advance(day)
    await createAs(dave)
  })

  it('is void after a day', async () => {
    const erin = await register(server, 'erin')
    const mediaId = await createAs(erin)
    await server.clock.advance(day - 1)
    expect(codeOf(await downloadAs(erin, mediaId, 0))).toEqual([504, 'M_NOT_YET_UPLOADED'])
    await server.clock.advance(1)
    expect(codeOf(await downloadAs(erin, mediaId, 0))).toEqual([404, 'M_NOT_FOUND'])
    expect(codeOf(await fillAs(erin, mediaId, 'x'))).toEqual([404, 'M_NOT_FOUND'])
  })
})

describe('a download of what has not been uploaded yet', () => {
  /** Looks until somebody waits who did not when there were so many timers. */
  async function untilMoreThan(timers: number): Promise<void> {
    while (server.clock.pending <= timers) await server.ctx.db.pool.query('SELECT 1')
  }

  it('gets it when it comes', async () => {
    const mediaId = await createAs(bob)
    const timers = server.clock.pending
    const download = downloadAs(alice, mediaId)
    await untilMoreThan(timers)
    expect((await fillAs(bob, mediaId, 'at last')).status).toBe(200)
    expect((await download).bytes.toString()).toBe('at last')
    expect(server.clock.pending).toBe(timers)
  })

  it('gets it a second later when it came to another process', async () => {
    const mediaId = await createAs(bob)
    const timers = server.clock.pending
    const download = downloadAs(alice, mediaId)
    await untilMoreThan(timers)
    const another = { ...server.ctx }
    const upload = {
      stream: Readable.from([Buffer.from('there')]),
      contentType: null,
      contentLength: null,
      fileName: null,
    }
    const bobsId = userIdOf('bob', server.ctx.serverName)
    if (bobsId === null) throw new Error('bob has an ID')
    const uploader = { userNumber: await server.ctx.numbers.user(bobsId), isSuspended: false }
    await fillMedia(another, uploader, another.serverName, mediaId, upload)
    await server.clock.advance(1_000)
    expect((await download).bytes.toString()).toBe('there')
  })

  it.each([
    [undefined, 20_000],
    [5_000, 5_000],
    [1_000_000, 60_000],
  ])('that may take %p ms gives up after %d', async (asked, waitedMs) => {
    const frank = await register(server, `frank${waitedMs}`)
    const mediaId = await createAs(frank)
    let isOver = false
    const timers = server.clock.pending
    const download = downloadAs(alice, mediaId, asked).finally(() => (isOver = true))
    await untilMoreThan(timers)
    for (let passedMs = 0; passedMs < waitedMs; passedMs += 1_000) {
      expect(isOver).toBe(false)
      await server.clock.advance(1_000)
      if (passedMs + 1_000 < waitedMs) await untilMoreThan(timers)
    }
    expect(codeOf(await download)).toEqual([504, 'M_NOT_YET_UPLOADED'])
  })

  it('ends when the client goes away', async () => {
    const grace = await register(server, 'grace')
    const mediaId = await createAs(grace)
    const timers = server.clock.pending
    const abort = new AbortController()
    const download = grace.request('GET', path`/_matrix/client/v1/media/download/lethe.test/${mediaId}`, undefined, { signal: abort.signal }) // prettier-ignore
    await untilMoreThan(timers)
    abort.abort()
    await expect(download).rejects.toThrow()
    while (server.clock.pending > timers) await server.ctx.db.pool.query('SELECT 1')
  })
})
