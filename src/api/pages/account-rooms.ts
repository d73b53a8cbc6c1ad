import { type Context } from '../../context.ts'
import { invalidParam, notInRoom } from '../../errors.ts'
import { oneOf, optional } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'
import { parseRoomId, type RoomId } from '../../protocol/identifiers.ts'
import { type ReportedRoom, roomsOf } from '../../privacy/report.ts'
import { lifetimeSentence, spanWords } from '../../privacy/room-lifetime.ts'
import { type Actor } from '../../rooms/actor.ts'
import { roomHead } from '../../rooms/head.ts'
import { send } from '../../rooms/send.ts'
import { setState } from '../../rooms/state.ts'
import { html, type Html, joined, seeOther } from './html.ts'
import { accountPage, done, show, take } from './signed-in.ts'

const retentionType = 'm.room.retention'
const dayMs = 86_400_000
/** Lifetimes to choose from, in milliseconds. */
const choices = [dayMs / 24, dayMs, 7 * dayMs, 30 * dayMs, 90 * dayMs, 365 * dayMs]
/** How many rooms a page shows. */
const roomLimit = 200

const notices = {
  set: 'The room’s lifetime is set. It counts for older messages too.',
  told: 'The room’s lifetime is set, and the room was told. It counts for older messages too.',
}

/** One’s rooms, how long their messages live, and who else has copies. */
export const getRoomsPage = endpoint({
  method: 'GET',
  path: '/account/rooms',
  auth: 'none',
  limit: 'anonymous',
  query: { done: optional(oneOf('set', 'told')) },
  handle: (ctx, request) =>
    show(ctx, request, async visit => {
      const rooms = (await roomsOf(ctx, visit.visitor)).filter(({ membership }) => membership === 'join')
      const shown = rooms.slice(0, roomLimit).map(room => shownRoom(ctx, room, visit.actor, visit.key))
      const content = html`${done(request.query.done && notices[request.query.done])}
        <p>How long messages live is a setting of each room. Whoever may change the room’s settings can set it here.</p>
        ${joined(await Promise.all(shown))} ${rooms.length === 0 ? html`<p>You are in no room.</p>` : html``}
        ${
          rooms.length > roomLimit
            ? html`<p class="soft">And ${String(rooms.length - roomLimit)} more, which are in the report.</p>`
            : html``
        }`
      return accountPage('Your rooms', visit, '/account/rooms', content)
    }),
})

/** Sets a room's lifetime with an ordinary state event, and tells the room in words if that is wanted. */
export const postRoomsPage = endpoint({
  method: 'POST',
  path: '/account/rooms',
  auth: 'none',
  limit: 'anonymous',
  body: 'stream',
  handle: (ctx, request) =>
    take(ctx, request, async ({ actor }, fields) => {
      const roomId = parseRoomId(fields.get('room') ?? '')
      if (roomId === null) throw notInRoom()
      const lifetime = fields.get('lifetime') ?? ''
      const maxLifetime = lifetime === 'none' ? null : Number(lifetime)
      if (maxLifetime !== null && !choices.includes(maxLifetime)) throw invalidParam('Choose one of the lifetimes')
      const content = maxLifetime === null ? {} : { max_lifetime: maxLifetime }
      await setState(ctx, actor, roomId, { type: retentionType, stateKey: '', content })
      if (fields.get('tell') !== 'yes') return seeOther('/account/rooms?done=set')
      await tell(ctx, actor, roomId, maxLifetime)
      return seeOther('/account/rooms?done=told')
    }),
})

/** A notice in the room. Where messages are encrypted the server can send none that clients would trust, and sends none. */
async function tell(ctx: Context, actor: Actor, roomId: RoomId, maxLifetimeMs: number | null): Promise<void> {
  const body =
    maxLifetimeMs === null
      ? 'Messages in this room are now kept until somebody sets a lifetime again.'
      : `Messages in this room now disappear after ${spanWords(maxLifetimeMs)}, older ones too.`
  await send(ctx, actor, roomId, {
    type: 'm.room.message',
    content: { msgtype: 'm.notice', body },
    transactionId: ctx.random.letters(16),
  })
}

async function shownRoom(ctx: Context, room: ReportedRoom, actor: Actor, key: Html): Promise<Html> {
  const roomId = parseRoomId(room.roomId)
  const head = roomId && (await roomHead(ctx, roomId))
  const maySet =
    head &&
    !actor.isSuspended &&
    head.powerLevels.userLevel(actor.userId) >= head.powerLevels.requiredLevel(retentionType, true)
  const isEncrypted = head?.event('m.room.encryption') !== null
  const members = head?.joinedCount ?? 0
  const copies =
    room.otherServers.length > 0
      ? `Copies are on ${room.otherServers.join(', ')}, and on the members’ devices.`
      : members > 1
        ? 'Copies are on the members’ devices; on no other server.'
        : 'Nobody else is in it.'
  return html`<section>
    <h2>${room.name ?? 'A room without a name'}</h2>
    <p>${lifetimeSentence(room.lifetime)}</p>
    <p class="soft">
      ${members === 1 ? '1 member' : `${members} members`}. ${isEncrypted ? 'Encrypted.' : 'Not encrypted.'} ${copies}
      <br /><span class="code">${room.roomId}</span>
    </p>
    ${maySet ? lifetimeForm(room, isEncrypted, key) : html`<p class="soft">Others set its lifetime.</p>`}
  </section>`
}

function lifetimeForm({ roomId, lifetime }: ReportedRoom, isEncrypted: boolean, key: Html): Html {
  const option = (value: string, words: string, isChosen: boolean) =>
    isChosen
      ? html`<option value="${value}" selected>${words}</option>`
      : html`<option value="${value}">${words}</option>`
  const options = [
    ...choices.map(ms => option(String(ms), `after ${spanWords(ms)}`, lifetime.maxLifetimeMs === ms)),
    option('none', 'never, by this room’s wish', lifetime.maxLifetimeMs === null),
  ]
  const notice = html`<label class="choice tick"
    ><input type="checkbox" name="tell" value="yes" /> Tell the room in a message</label
  >`
  return html`<form method="post">
    ${key}<input type="hidden" name="room" value="${roomId}" />
    <div class="row">
      <label class="choice tick"
        >Messages disappear
        <select name="lifetime">
          ${joined(options)}
        </select></label
      >
      ${isEncrypted ? html`` : notice}
      <button>Set</button>
    </div>
  </form>`
}
