import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type JsonObject } from '../../src/protocol/json.ts'
import { type AccountDataEntry } from '../../src/storage/log-entries.ts'
import { at, nobody, objectsAt, path, type Person, register } from '../harness/people.ts'
import { startTestServer, type TestServer } from '../harness/server.ts'
import { shownAccountData } from '../../src/push/rules.ts'
import { codeOf } from './media-server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.close())

let people = 0
const newcomer = () => register(server, `person-${(people += 1)}`)
const idsOf = async (person: Person, kind: string) =>
  objectsAt(await person.get('/pushrules/'), 'global', kind).map(rule => rule['rule_id'])
const put = (person: Person, kind: string, ruleId: string, body: JsonObject, query = {}) =>
  person.request('PUT', path`/pushrules/global/${kind}/${ruleId}`, body, { query })

describe('push rules', () => {
  it('are the server’s for somebody who has none of their own', async () => {
    const alice = await newcomer()
    const all = await alice.get('/pushrules/')
    expect(Object.keys(all)).toEqual(['global'])
    expect(await idsOf(alice, 'override')).toContain('.m.rule.is_user_mention')
    expect(await idsOf(alice, 'underride')).toContain('.m.rule.encrypted')
    expect(await alice.get('/pushrules/global/')).toEqual(all['global'])
    expect(await alice.get('/pushrules')).toEqual(all)
    expect(await alice.get('/pushrules/global')).toEqual(all['global'])
    expect(await alice.get('/pushrules/global/override/.m.rule.is_user_mention')).toMatchObject({
      default: true,
      enabled: true,
      conditions: [{ value: alice.userId }],
    })
  })

  it('are nobody else’s', async () => {
    const [alice, bob] = [await newcomer(), await newcomer()]
    await put(alice, 'content', 'mine', { pattern: 'cake', actions: ['notify'] })
    expect(await idsOf(bob, 'content')).toEqual([])
    expect(codeOf(await bob.request('GET', '/pushrules/global/content/mine'))).toEqual([404, 'M_NOT_FOUND'])
    for (const target of ['/pushrules/', '/pushrules/global/', '/pushrules/global/content/mine']) {
      expect(codeOf(await nobody(server).request('GET', target))).toEqual([401, 'M_MISSING_TOKEN'])
    }
  })

  it('can be made, read, changed and deleted', async () => {
    const alice = await newcomer()
    const made = await put(alice, 'content', 'cake', { pattern: 'cake*lie', actions: ['notify'] })
    expect([made.status, made.json]).toEqual([200, {}])
    const rule = { rule_id: 'cake', default: false, enabled: true, pattern: 'cake*lie', actions: ['notify'] }
    expect(await alice.get('/pushrules/global/content/cake')).toEqual(rule)
    await put(alice, 'content', 'cake', { pattern: 'pie', actions: [] })
    expect(await alice.get('/pushrules/global/content/cake')).toEqual({ ...rule, pattern: 'pie', actions: [] })
    expect(await alice.delete('/pushrules/global/content/cake')).toEqual({})
    expect(codeOf(await alice.request('DELETE', '/pushrules/global/content/cake'))).toEqual([404, 'M_NOT_FOUND'])
    expect(await idsOf(alice, 'content')).toEqual([])
  })

  it('stand in the order that was asked for', async () => {
    const alice = await newcomer()
    for (const ruleId of ['a', 'b']) await put(alice, 'room', ruleId, { actions: [] })
    await put(alice, 'room', 'c', { actions: [] }, { after: 'b' })
    await put(alice, 'room', 'd', { actions: [] }, { before: 'a' })
    expect(await idsOf(alice, 'room')).toEqual(['b', 'c', 'd', 'a'])
    const refused = await put(alice, 'room', 'e', { actions: [] }, { after: 'nowhere' })
    expect(refused.json).toEqual({ errcode: 'M_UNKNOWN', error: 'before/after rule not found: nowhere' })
    expect(refused.status).toBe(400)
  })

  it('can be switched off and on and told what to do, the server’s too', async () => {
    const alice = await newcomer()
    await put(alice, 'sender', '@bob:lethe.test', { actions: ['notify'] })
    for (const rule of ['sender/%40bob%3Alethe.test', 'underride/.m.rule.message']) {
      const place = `/pushrules/global/${rule}`
      expect(await alice.get(`${place}/enabled`)).toEqual({ enabled: true })
      expect(await alice.put(`${place}/enabled`, { enabled: false })).toEqual({})
      expect(await alice.get(`${place}/enabled`)).toEqual({ enabled: false })
      expect(await alice.get(`${place}/actions`)).toEqual({ actions: ['notify'] })
      const loud = ['notify', { set_tweak: 'sound', value: 'bing' }]
      expect(await alice.put(`${place}/actions`, { actions: loud })).toEqual({})
      expect(await alice.get(`${place}/actions`)).toEqual({ actions: loud })
      expect(await alice.get(place)).toMatchObject({ enabled: false, actions: loud })
    }
  })

  it.each([
    ['PUT', 'override/.mine', { actions: [] }, [400, 'M_INVALID_PARAM']],
    ['PUT', 'override/a%2Fb', { actions: [] }, [400, 'M_INVALID_PARAM']],
    ['PUT', 'override/a%5Cb', { actions: [] }, [400, 'M_INVALID_PARAM']],
    ['PUT', 'unknown/a', { actions: [] }, [400, 'M_INVALID_PARAM']],
    ['PUT', 'override/a', {}, [400, 'M_MISSING_PARAM']],
    ['PUT', 'override/a', { actions: 'notify' }, [400, 'M_INVALID_PARAM']],
    ['PUT', 'override/a', { actions: [1] }, [400, 'M_INVALID_PARAM']],
    ['PUT', 'override/a', { actions: [], conditions: [{}] }, [400, 'M_INVALID_PARAM']],
    ['PUT', 'content/a', { actions: [] }, [400, 'M_INVALID_PARAM']],
    ['PUT', 'content/a', { actions: [], pattern: 'x'.repeat(2_000) }, [400, 'M_INVALID_PARAM']],
    ['GET', 'override/none', undefined, [404, 'M_NOT_FOUND']],
    ['GET', 'content/.m.rule.master', undefined, [404, 'M_NOT_FOUND']],
    ['GET', 'unknown/none', undefined, [400, 'M_INVALID_PARAM']],
    ['DELETE', 'override/none', undefined, [404, 'M_NOT_FOUND']],
    ['DELETE', 'override/.m.rule.master', undefined, [404, 'M_NOT_FOUND']],
    ['GET', 'override/none/enabled', undefined, [404, 'M_NOT_FOUND']],
    ['GET', 'override/none/actions', undefined, [404, 'M_NOT_FOUND']],
    ['PUT', 'override/none/enabled', { enabled: true }, [404, 'M_NOT_FOUND']],
    ['PUT', 'override/none/actions', { actions: [] }, [404, 'M_NOT_FOUND']],
    ['PUT', 'override/.m.rule.master/enabled', {}, [400, 'M_MISSING_PARAM']],
    ['PUT', 'override/.m.rule.master/enabled', { enabled: 'yes' }, [400, 'M_BAD_JSON']],
    ['PUT', 'override/.m.rule.master/actions', { actions: [[]] }, [400, 'M_INVALID_PARAM']],
    ['PUT', 'override/__proto__/enabled', { enabled: true }, [404, 'M_NOT_FOUND']],
  ] as const)('refuse %s %s with %p', async (method, place, body, code) => {
    const alice = await register(server, `refused-${(people += 1)}`)
    const before = await alice.get('/pushrules/')
    expect(codeOf(await alice.request(method, `/pushrules/global/${place}`, body as JsonObject | undefined))).toEqual(code) // prettier-ignore
    expect(await alice.get('/pushrules/')).toEqual(before)
  })

  it('lose no edit of two devices that edit at once', async () => {
    const alice = await newcomer()
    const ids = Array.from({ length: 10 }, (_, index) => `rule${index}`)
    await Promise.all(ids.map(ruleId => put(alice, 'room', ruleId, { actions: [] })))
    expect((await idsOf(alice, 'room')).sort()).toEqual(ids)
  })

  it('are told to the user’s devices whole, though only changes are kept', async () => {
    const alice = await newcomer()
    const heard: AccountDataEntry[] = []
    const stop = server.ctx.log.subscribe(entries => {
      for (const entry of entries) if (entry.kind === 'account_data') heard.push(entry)
    })
    await put(alice, 'room', '!a:b', { actions: ['notify'] })
    stop()
    expect(heard.map(({ userId, roomId, type }) => [userId, roomId, type])).toEqual([[alice.userId, null, 'm.push_rules']]) // prettier-ignore
    const [entry] = heard
    if (!entry) throw new Error('nothing was heard')
    expect(entry.content).not.toContain('.m.rule')
    const shown = JSON.parse(shownAccountData(entry.userId, entry.roomId, entry.type, entry.content)) as JsonObject
    expect(shown).toEqual(await alice.get('/pushrules/'))
    expect(at(shown, 'global', 'room', 0, 'rule_id')).toBe('!a:b')
    expect(shownAccountData(entry.userId, null, 'other', '{"a":1}')).toBe('{"a":1}')
  })
})
