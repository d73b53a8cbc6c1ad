import { expect, it } from '@jest/globals'
import { exchange } from '../harness/exchange.ts'
import { RawConnection } from '../harness/raw-connection.ts'
import { startTestServer } from '../harness/server.ts'

it('holds as many connections as the settings allow, and closes what comes beyond', async () => {
  const server = await startTestServer({ settings: { listen: { max_connections: 10 } }, loops: [] })
  const request = 'GET /_matrix/client/versions HTTP/1.1\r\nHost: a\r\n\r\n'
  const held = await Promise.all(Array.from({ length: 10 }, () => RawConnection.open(server.url)))
  for (const connection of held) {
    connection.write(request)
    await connection.until(received => received.startsWith('HTTP/1.1 200'))
  }
  const beyond = await RawConnection.open(server.url)
  beyond.write(request)
  await beyond.untilClosed()
  expect(beyond.received).toBe('')
  for (const connection of held) connection.close()
  await held[0]?.untilClosed()
  expect(await exchange(server.url, { method: 'GET', target: '/_matrix/client/versions' })).toMatchObject({
    status: 200,
  })
  await server.close()
})
