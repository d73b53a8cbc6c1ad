import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { routes } from '../../src/api/routes.ts'
import { type Endpoint } from '../../src/http/endpoint.ts'
import { historyVisibilities, type HistoryVisibility } from '../../src/protocol/history-visibility.ts'
import { type Exchange } from '../harness/exchange.ts'
import { type Caller, nobody, path, type Person, register, text } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { fillPath, type PathValues, sampleQuery } from '../house/samples.ts'

/**
 * The leak matrix (class O of the advisories: the largest beside event authorisation). In a room of each history visibility
 * things are said that hold a word of their own, in every way in which an answer could carry one. Then each viewer asks
 * every route that only reads, and each word is looked for in every answer: it is found if the table below says so.
 */
jest.setTimeout(120_000)

/** How each viewer stands to the room while the secrets are told, and when. */
const viewers = [
  'creator', 'member', 'leftBefore', 'leftAfter', 'returned', 'invited', 'invitedThenJoined', 'knocked', 'joinedAfter',
  'bannedBefore', 'bannedAfter', 'forgot', 'stranger',
] as const // prettier-ignore
type Viewer = (typeof viewers)[number]

/** Those who see what was said in the middle, by the specification's five rules. https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-8 */
const present: readonly Viewer[] = ['creator', 'member', 'leftAfter', 'bannedAfter']
const joinedLater: readonly Viewer[] = ['invitedThenJoined', 'joinedAfter', 'returned']
const seesTheMiddle: Readonly<Record<HistoryVisibility, readonly Viewer[]>> = {
  world_readable: viewers,
  shared: [...present, ...joinedLater],
  invited: [...present, 'invitedThenJoined'],
  joined: present,
}
/** Those who see what came when the third part of the viewers had gone. */
const seesTheEnd: Readonly<Record<HistoryVisibility, readonly Viewer[]>> = {
  world_readable: viewers,
  shared: ['creator', 'member', ...joinedLater],
  invited: ['creator', 'member', ...joinedLater],
  joined: ['creator', 'member', ...joinedLater],
}
/** Those who see what was said in the first part, and replaced in the middle. */
const first: readonly Viewer[] = [...present, 'leftBefore', 'returned', 'bannedBefore']
const seesTheStart: Readonly<Record<HistoryVisibility, readonly Viewer[]>> = {
  world_readable: viewers,
  shared: [...first, ...joinedLater],
  // Whoever may see an event may see the state at it, and this was the state when the one was invited.
  invited: [...first, 'invitedThenJoined'],
  joined: first,
}
const nobodySees: Readonly<Record<HistoryVisibility, readonly Viewer[]>> = {
  world_readable: [],
  shared: [],
  invited: [],
  joined: [],
}

/** What carries a word, and who may read it. */
const kinds = {
  earlyState: seesTheStart,
  reasonForTheEarly: seesTheMiddle,
  message: seesTheMiddle,
  state: seesTheMiddle,
  replacedState: seesTheMiddle,
  memberName: seesTheMiddle,
  edit: seesTheMiddle,
  threadReply: seesTheMiddle,
  reaction: seesTheMiddle,
  redactionReason: seesTheMiddle,
  redacted: nobodySees,
  redactedState: nobodySees,
  redactedEdit: nobodySees,
  lateMessage: seesTheEnd,
  lateState: seesTheEnd,
  lateMemberName: seesTheEnd,
} as const
type Kind = keyof typeof kinds

const word = (visibility: HistoryVisibility, kind: Kind) => `word-${kind}-in-${visibility}-room`

let server: TestServer
let people: Record<Viewer, Person>
const rooms = {} as Record<HistoryVisibility, string>
/** Events to ask for by their ID, by room. */
const events = {} as Record<HistoryVisibility, string[]>
/** Where the viewers' clients stood before the middle, and after it. */
let beforeTheMiddle: Record<Viewer, string>
let afterTheMiddle: Record<Viewer, string>
/** When all of the middle stood in the room. */
const inTheMiddle = {} as Record<HistoryVisibility, string>

beforeAll(async () => {
  server = await startTestServer()
  const registered = await Promise.all(viewers.map(async name => [name, await register(server, name.toLowerCase())]))
  people = Object.fromEntries(registered) as Record<Viewer, Person> // One for each of the names.
  for (const visibility of historyVisibilities) await openRoom(visibility)
  beforeTheMiddle = await positions()
  for (const visibility of historyVisibilities) await tellTheMiddle(visibility)
  afterTheMiddle = await positions()
  for (const visibility of historyVisibilities) await tellTheEnd(visibility)
})
afterAll(() => server.close())

async function positions(): Promise<Record<Viewer, string>> {
  const found = await Promise.all(viewers.map(async name => [name, await people[name].now()]))
  return Object.fromEntries(found) as Record<Viewer, string> // One for each of the names.
}

/** The first part: who comes, and who goes again before anything of interest is said. */
async function openRoom(visibility: HistoryVisibility): Promise<void> {
  const { creator } = people
  const room = await creator.createRoom({
    initial_state: [
      { type: 'm.room.history_visibility', content: { history_visibility: visibility } },
      { type: 'm.room.join_rules', content: { join_rule: 'knock' } },
    ],
    power_level_content_override: { events: { 'org.example.note': 0 } },
  })
  rooms[visibility] = room
  for (const name of [...first.slice(1), 'forgot'] as const) {
    await creator.invite(room, people[name].userId)
    await people[name].join(room)
  }
  events[visibility] = [
    await creator.send(room, 'parent'),
    await creator.send(room, 'root'),
    await creator.send(room, 'redacted in the middle'),
    await creator.setState(room, 'org.example.note', { text: word(visibility, 'earlyState') }, 'early'),
  ]
  await people.leftBefore.leave(room)
  await people.returned.leave(room)
  await creator.post(path`/rooms/${room}/ban`, { user_id: people.bannedBefore.userId })
  await creator.invite(room, people.invited.userId)
  await creator.invite(room, people.invitedThenJoined.userId)
  await people.knocked.post(path`/knock/${room}`)
}

async function tellTheMiddle(visibility: HistoryVisibility): Promise<void> {
  const { creator, member } = people
  const room = rooms[visibility]
  const [parent = '', root = '', early = ''] = events[visibility]
  const say = (kind: Kind) => word(visibility, kind)
  const edited = (kind: Kind) => ({
    msgtype: 'm.text',
    body: '* edited',
    'm.new_content': { msgtype: 'm.text', body: say(kind) },
    'm.relates_to': { rel_type: 'm.replace', event_id: parent },
  })
  const told = [
    await creator.send(room, say('message')),
    await creator.setState(room, 'org.example.note', { text: say('state') }, 'kept'),
    await creator.setState(room, 'org.example.note', { text: say('replacedState') }, 'replaced'),
    await member.setState(room, 'm.room.member', { membership: 'join', displayname: say('memberName') }, member.userId),
    await creator.send(room, edited('edit')),
    await creator.send(room, {
      msgtype: 'm.text',
      body: say('threadReply'),
      'm.relates_to': { rel_type: 'm.thread', event_id: root },
    }),
    await creator.send(
      room,
      { 'm.relates_to': { rel_type: 'm.annotation', event_id: parent, key: say('reaction') } },
      'm.reaction',
    ),
  ]
  const redacted = await creator.send(room, say('redacted'))
  const redactedState = await creator.setState(room, 'org.example.note', { text: say('redactedState') }, 'redacted')
  const redactedEdit = await creator.send(room, edited('redactedEdit'))
  told.push(redacted, redactedState, redactedEdit, await creator.redact(room, redacted, say('redactionReason')))
  await creator.redact(room, redactedState)
  await creator.redact(room, early, say('reasonForTheEarly'))
  await creator.redact(room, redactedEdit)
  inTheMiddle[visibility] = await creator.now()
  // What was said goes on being replaced: those who come later see the last of it.
  await creator.setState(room, 'org.example.note', { text: 'nothing' }, 'replaced')
  await creator.setState(room, 'org.example.note', { text: 'nothing' }, 'early')
  await member.setState(room, 'm.room.member', { membership: 'join', displayname: 'Member' }, member.userId)
  events[visibility].push(...told)
}

async function tellTheEnd(visibility: HistoryVisibility): Promise<void> {
  const { creator, member } = people
  const room = rooms[visibility]
  await people.leftAfter.leave(room)
  await people.forgot.leave(room)
  await people.forgot.post(path`/rooms/${room}/forget`)
  await creator.post(path`/rooms/${room}/ban`, { user_id: people.bannedAfter.userId })
  // The state that was told in the middle is replaced too, so that joining does not hand it over as the current one.
  await creator.setState(room, 'org.example.note', { text: 'nothing' }, 'kept')
  for (const name of joinedLater) {
    if (name !== 'invitedThenJoined') await creator.invite(room, people[name].userId)
    await people[name].join(room)
  }
  const late = { membership: 'join', displayname: word(visibility, 'lateMemberName') }
  events[visibility].push(
    await creator.send(room, word(visibility, 'lateMessage')),
    await creator.setState(room, 'org.example.note', { text: word(visibility, 'lateState') }, 'late'),
    await member.setState(room, 'm.room.member', late, member.userId),
  )
}

const readers = routes.filter(({ method, auth }) => method === 'GET' && auth !== 'none' && auth !== 'admin')

/** Ways to ask a route, where one is not enough. */
function queriesOf(pattern: string, viewer: Viewer): readonly string[] {
  const [before, after] = [beforeTheMiddle[viewer], afterTheMiddle[viewer]].map(encodeURIComponent)
  const filter = (value: object) => encodeURIComponent(JSON.stringify(value))
  const all = { room: { include_leave: true, timeline: { limit: 100 } } }
  switch (pattern) {
    case '/_matrix/client/v3/sync':
      return [
        `?filter=${filter(all)}`,
        `?filter=${filter({ room: { include_leave: true, timeline: { limit: 1 } } })}`,
        `?filter=${filter(all)}&since=${before}`,
        `?filter=${filter(all)}&since=${after}`,
        `?filter=${filter({ room: { timeline: { limit: 2 } } })}&since=${before}`,
        `?filter=${filter({ room: { timeline: { limit: 2 } } })}&since=${before}&use_state_after=true`,
        `?full_state=true&since=${after}&filter=${filter({ room: { state: { lazy_load_members: true } } })}`,
      ]
    case '/_matrix/client/v3/rooms/:roomId/messages':
      return [
        '?dir=b&limit=100',
        '?dir=f&limit=100',
        `?dir=f&limit=100&from=${before}`,
        `?dir=b&limit=100&from=${after}`,
        `?dir=b&limit=100&filter=${filter({ lazy_load_members: true })}`,
      ]
    case '/_matrix/client/v3/rooms/:roomId/context/:eventId':
      return ['?limit=100', '?limit=0', `?limit=100&filter=${filter({ lazy_load_members: true })}`]
    case '/_matrix/client/v3/rooms/:roomId/members':
      return ['', `?at=${after}`, `?at=${before}`, '?not_membership=join', ...Object.values(inTheMiddle).map(at => `?at=${encodeURIComponent(at)}`)] // prettier-ignore
    case '/_matrix/client/v3/rooms/:roomId/state/:eventType/:stateKey':
      return ['', '?format=event']
    case '/_matrix/client/v1/rooms/:roomId/threads':
      return ['?limit=100', '?limit=100&include=participated']
    default:
      return pattern.includes('/relations/') ? ['?limit=100', '?limit=100&recurse=true&dir=f'] : ['']
  }
}

/** The things that a path may name in a room. */
function valuesOf(pattern: string, visibility: HistoryVisibility, viewer: Viewer): readonly PathValues[] {
  const base: PathValues = { roomId: rooms[visibility], userId: people[viewer].userId, deviceId: 'D', serverName: 'lethe.test', mediaId: 'none' } // prettier-ignore
  let values = [base]
  const spread = (name: string, choices: readonly string[]) => {
    if (pattern.includes(`:${name}`)) values = values.flatMap(each => choices.map(choice => ({ ...each, [name]: choice }))) // prettier-ignore
  }
  const isRelation = pattern.includes('/relations/')
  spread('eventId', events[visibility])
  spread('relType', ['m.replace', 'm.thread', 'm.annotation'])
  spread('eventType', isRelation ? ['m.room.message', 'm.reaction'] : ['org.example.note', 'm.room.member'])
  spread('stateKey', ['early', 'kept', 'replaced', 'redacted', 'late', people.member.userId])
  return values
}

function targetsOf(endpoint: Endpoint, viewer: Viewer): readonly string[] {
  const [pattern = ''] = endpoint.paths
  const queries = queriesOf(pattern, viewer).map(query => (query === '' ? sampleQuery(endpoint) : query))
  const ofRooms = pattern.includes(':roomId') ? historyVisibilities : historyVisibilities.slice(0, 1)
  return ofRooms.flatMap(visibility =>
    valuesOf(pattern, visibility, viewer).flatMap(values => queries.map(query => fillPath(pattern, values) + query)),
  )
}

/** Which words an answer holds that are in the table, with what was asked. */
async function wordsFor(viewer: Viewer, caller: Caller): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const endpoint of readers) {
    const targets = targetsOf(endpoint, viewer)
    const answers = await Promise.all(targets.map(target => caller.request('GET', target)))
    answers.forEach((done, index) => {
      expect(done.status).toBeLessThan(500)
      for (const [each] of done.bytes.toString('utf8').matchAll(/word-\w+-in-\w+-room/g))
        if (!found.has(each)) found.set(each, targets[index] ?? '')
    })
  }
  return found
}

const cells = historyVisibilities.flatMap(visibility =>
  (Object.keys(kinds) as Kind[]).map(kind => ({ visibility, kind })),
)

describe('what was said in a room', () => {
  it.each(viewers)('is told to %s exactly where the history visibility lets them see it', async viewer => {
    const found = await wordsFor(viewer, people[viewer])
    const leaked: string[] = []
    const missing: string[] = []
    for (const { visibility, kind } of cells) {
      const name = word(visibility, kind)
      const maySee = kinds[kind][visibility].includes(viewer)
      if (found.has(name) && !maySee) leaked.push(`${name} by ${found.get(name) ?? ''}`)
      if (!found.has(name) && maySee) missing.push(name)
    }
    expect({ leaked, missing }).toEqual({ leaked: [], missing: [] })
  })

  it('is told to nobody without a token', async () => {
    expect([...(await wordsFor('stranger', nobody(server)))]).toEqual([])
  })
})

describe('an event of another room (O-6)', () => {
  const withBoth = routes.filter(
    ({ paths: [pattern = ''] }) => pattern.includes(':roomId') && pattern.includes(':eventId'),
  )

  it.each(withBoth.map(endpoint => [`${endpoint.method} ${endpoint.paths[0] ?? ''}`, endpoint] as const))(
    'is answered as one that does not exist: %s',
    async (_, endpoint) => {
      const own = await people.stranger.createRoom()
      const [foreign = ''] = events.joined.slice(4)
      const answer = async (eventId: string) => {
        const values = { roomId: own, eventId, userId: people.stranger.userId, txnId: `t${eventId.length}${eventId.slice(-4)}` } // prettier-ignore
        const target = fillPath(endpoint.paths[0] ?? '', values) + sampleQuery(endpoint)
        const done = await people.stranger.request(endpoint.method, target, endpoint.method === 'GET' ? undefined : {})
        return [done.status, withoutOwnEvent(done)]
      }
      expect(await answer(foreign)).toEqual(await answer(`$${'A'.repeat(foreign.length - 1)}`))
    },
  )

  it('gives way to no read marker', async () => {
    const own = await people.stranger.createRoom()
    const [foreign = ''] = events.joined.slice(4)
    const answers = await Promise.all(
      [foreign, `$${'A'.repeat(foreign.length - 1)}`].map(async eventId => {
        const done = await people.stranger.request('POST', path`/rooms/${own}/read_markers`, { 'm.read': eventId })
        return [done.status, done.json]
      }),
    )
    expect(answers[0]).toEqual(answers[1])
  })

  /** What an accepted redaction is called differs from one to the next. */
  function withoutOwnEvent(done: Exchange): string {
    return done.bytes.toString('utf8').replace(/"event_id":"[^"]*"/, '"event_id":"…"')
  }
})

describe('a transaction ID (O-17)', () => {
  it('is told to the device that used it alone', async () => {
    const { member, creator } = people
    const room = rooms.shared
    const id = 'a-transaction-of-ones-own'
    const eventId = await member.send(room, 'mine', 'm.room.message', id)
    const other = await member.login()
    const asked = async (caller: Caller) =>
      (await caller.request('GET', path`/rooms/${room}/event/${eventId}`)).bytes.toString('utf8').includes(id)
    expect(await Promise.all([member, other, creator].map(asked))).toEqual([true, false, false])
    expect(text(await member.event(room, eventId), 'event_id')).toBe(eventId)
  })
})
