import { afterEach, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import { Epochs } from '../../src/storage/log-epochs.ts'
import { storageContext, type StorageContext } from '../harness/storage-context.ts'

const open: StorageContext[] = []
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close()
})

async function opened(shared?: StorageContext): Promise<StorageContext> {
  const context = await (shared ? shared.another() : storageContext())
  open.push(context)
  return context
}

async function query(context: StorageContext, text: string): Promise<Record<string, unknown>[]> {
  const { connection } = context.database
  if ('url' in connection) throw new Error('the tests connect by parts')
  const client = new pg.Client(connection)
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}

/** Breaks the connection that listens, as a failover does. */
const breakListener = (context: StorageContext) =>
  query(
    context,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`,
  )

const post = (context: StorageContext, type: string) =>
  context.ctx.log.post([
    { kind: 'account_data', userId: '@a:test.example' as never, roomId: null, type, content: '{}' },
  ])

describe('epochs', () => {
  it('reach to the start of the next, and the last one on and on', () => {
    const epochs = new Epochs([
      { epoch: 'a', begins_at: 0 },
      { epoch: 'b', begins_at: 10 },
    ])
    expect(epochs.current).toBe('b')
    expect([epochs.covers('a', 10), epochs.covers('a', 11)]).toEqual([true, false])
    expect([epochs.covers('b', 3), epochs.covers('b', 10 ** 9)]).toEqual([true, true])
    expect(epochs.covers('c', 0)).toBe(false)
  })

  it('are shared by the processes of a database, and by one that comes later', async () => {
    const one = await opened()
    const two = await opened(one)
    expect(two.ctx.log.epoch).toBe(one.ctx.log.epoch)
    await two.close()
    open.pop()
    const three = await opened(one)
    expect(three.ctx.log.epoch).toBe(one.ctx.log.epoch)
  })

  it('end when the lineage of the database is another', async () => {
    const one = await opened()
    const position = await post(one, 'before')
    await query(one, `UPDATE log_epochs SET lineage = 'that of the cluster that was'`)
    const two = await opened(one)
    expect(two.ctx.log.epoch).not.toBe(one.ctx.log.epoch)
    expect(two.ctx.log.covers(one.ctx.log.epoch, position)).toBe(true)
    expect(two.ctx.log.covers(one.ctx.log.epoch, position + 1)).toBe(false)
  })

  it('begin with a process that finds itself alone, and others learn of it when they are back', async () => {
    const one = await opened()
    const position = await post(one, 'before')
    const { epoch } = one.ctx.log
    await breakListener(one)
    const two = await opened(one)
    await one.ctx.log.reached(await post(two, 'after'), 5_000)
    expect(one.ctx.log.epoch).toBe(two.ctx.log.epoch)
    for (const { ctx } of [one, two]) expect(ctx.log.covers(epoch, position)).toBe(true)
  })

  it('are kept to a thousand', async () => {
    const one = await opened()
    await query(
      one,
      `INSERT INTO log_epochs (epoch, begins_at, lineage) SELECT 'e' || n, 0, 'another' FROM generate_series(1, 1200) n`,
    )
    const two = await opened(one)
    expect(await query(one, 'SELECT count(*)::integer AS kept FROM log_epochs')).toEqual([{ kept: 1_000 }])
    expect([two.ctx.log.covers('e1200', 0), two.ctx.log.covers('e1', 0)]).toEqual([true, false])
  })
})

describe('a process whose database was set back', () => {
  it('notices when it has lost its connections, and writes no more', async () => {
    const one = await opened()
    await post(one, 'first')
    await post(one, 'second')
    await query(one, 'UPDATE log_head SET position = position - 1')
    await breakListener(one)
    await one.ctx.db.lineage.over
    await expect(post(one, 'third')).rejects.toMatchObject({ errcode: 'M_UNKNOWN', status: 503 })
    await expect(one.ctx.log.transact(() => Promise.resolve())).rejects.toMatchObject({ status: 503 })
  })

  it('goes on when only the connections were lost', async () => {
    const one = await opened()
    const first = await post(one, 'first')
    await breakListener(one)
    expect(await post(one, 'second')).toBe(first + 1)
    expect(one.ctx.db.lineage.isOver).toBe(false)
  })

  it('lets no connection reach the table that was made anew', async () => {
    const one = await opened()
    await post(one, 'first')
    await query(
      one,
      `ALTER TABLE log_head RENAME TO old_head; CREATE TABLE log_head (LIKE old_head INCLUDING ALL);
       INSERT INTO log_head SELECT * FROM old_head`,
    )
    await expect(one.ctx.db.connect()).rejects.toMatchObject({ isUnavailable: true })
    await one.ctx.db.lineage.over
  })
})
