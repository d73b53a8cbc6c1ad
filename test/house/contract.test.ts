import { describe, expect, it } from '@jest/globals'
import { loadContract } from '../harness/contract.ts'
import { type Exchange } from '../harness/exchange.ts'

// The contract itself is checked at every exchange that the harness makes with a server that has the real routes
// (harness/server.ts). Here is the proof that it can fail.

const contract = loadContract()
const describeContract = contract ? describe : describe.skip

if (!contract) process.stderr.write('The specification is not at hand: answers are not held against it.\n')

function answered(method: string, target: string, status: number, json: Exchange['json']): Exchange {
  return { method, target, status, json, headers: {}, bytes: Buffer.from(JSON.stringify(json) ?? '') }
}

const whoami = '/_matrix/client/v3/account/whoami'

describeContract('the contract with the specification', () => {
  const check = (exchange: Exchange) => () => contract?.check(exchange)

  it('takes an answer that it describes', () => {
    expect(check(answered('GET', whoami, 200, { user_id: '@a:b', device_id: 'D', is_guest: false }))).not.toThrow()
    expect(
      check(answered('GET', whoami, 429, { errcode: 'M_LIMIT_EXCEEDED', error: 'x', retry_after_ms: 1 })),
    ).not.toThrow()
  })

  it('refuses a required field that is absent', () => {
    expect(check(answered('GET', whoami, 200, { device_id: 'D' }))).toThrow('user_id')
  })

  it('refuses a field of another type, however deep, through files that refer to each other', () => {
    const sync = (events: unknown[]) =>
      answered('GET', '/_matrix/client/v3/sync?since=s1', 200, {
        next_batch: 's2',
        rooms: { join: { '!a:b': { timeline: { events: events as never } } } },
      })
    const event = { type: 'm.room.message', content: {}, event_id: '$a', sender: '@a:b', origin_server_ts: 1 }
    expect(check(sync([event]))).not.toThrow()
    expect(check(sync([{ ...event, origin_server_ts: 'yesterday' }]))).toThrow('origin_server_ts')
  })

  it('refuses a status that does not exist', () => {
    expect(check(answered('GET', whoami, 204, undefined))).toThrow('no such answer')
  })

  it('refuses an error without its two fields', () => {
    expect(check(answered('GET', whoami, 500, { error: 'x' }))).toThrow('errcode')
  })

  it('takes the list of stages for a 401', () => {
    const target = '/_matrix/client/v3/delete_devices'
    expect(
      check(answered('POST', target, 401, { flows: [{ stages: ['m.login.password'] }], session: 's' })),
    ).not.toThrow()
    expect(check(answered('POST', target, 401, { errcode: 'M_UNKNOWN_TOKEN', error: 'x' }))).not.toThrow()
  })

  it('says nothing about paths that are not in it', () => {
    expect(check(answered('GET', '/_matrix/client/unstable/org.example/x', 299, 'anything'))).not.toThrow()
  })
})
