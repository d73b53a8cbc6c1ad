import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type TestDatabase } from './database.ts'

/** A statement that a client sends. */
export interface SentStatement {
  /** Its text; of a prepared one, that which it was prepared with. */
  readonly text: string
  /** Counts the connections from 1. */
  readonly connection: number
}

/**
 * What becomes of a statement: it passes; the connection breaks before it reaches Postgres, or after Postgres has done it and
 * before the client is told; or Postgres refuses it with this SQLSTATE. (What begins a transaction cannot be refused.)
 */
export type Fate = 'pass' | 'cut_before' | 'cut_after' | { readonly sqlstate: string }

/** A TCP proxy in front of Postgres that understands enough of its protocol to break things at a chosen place. */
export class PostgresProxy {
  /** The same database, through the proxy. */
  readonly database: TestDatabase
  /** Asked of every statement. */
  decide: (statement: SentStatement) => Fate = () => 'pass'
  /** Asked of every notification; one that is kept back never comes. */
  keepsBack: (channel: string) => boolean = () => false
  /** How long every piece of data is held up on its way, in each direction. */
  delayMs = 0
  /** How much a connection carries in each direction; `null` for no limit. */
  bytesPerSecond: number | null = null
  readonly #server: Server
  readonly #target: { readonly path: string }
  readonly #links = new Set<Link>()
  #opened = 0

  private constructor(server: Server, database: TestDatabase) {
    if ('url' in database.connection) throw new Error('the database must be reached by the parts of its address')
    const { host, port, user, database: name } = database.connection
    this.#server = server
    this.#target = { path: `${host}/.s.PGSQL.${port}` }
    // A TCP server that listens has an address of that kind.
    const { port: taken } = server.address() as AddressInfo
    this.database = {
      url: `postgres://${user}@127.0.0.1:${taken}/${name}`,
      connection: { host: '127.0.0.1', port: taken, user, database: name },
      drop: () => database.drop(),
    }
    server.on('connection', socket => this.#accept(socket))
  }

  static async open(database: TestDatabase): Promise<PostgresProxy> {
    const server = createServer({ noDelay: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new PostgresProxy(server, database)
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#links.size
  }

  /** How many connections there have been. */
  get opened(): number {
    return this.#opened
  }

  /** From now on nothing passes through the connections there are, in either direction, and nothing is closed: they are half
   *  open. New ones work. */
  strand(): void {
    for (const link of this.#links) link.isStranded = true
  }

  /** Breaks all connections. */
  cutAll(): void {
    for (const link of this.#links) link.cut()
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.cutAll()
    await closed
  }

  #accept(client: Socket): void {
    this.#opened += 1
    const link = new Link(this, client, connect(this.#target.path), this.#opened)
    this.#links.add(link)
    client.once('close', () => this.#links.delete(link))
  }
}

/** What is answered by one `ReadyForQuery`: a simple query, or the statements up to a Sync, which commits several as one. */
class Pending {
  readonly isSimple: boolean
  /** `COMMIT` is refused by rolling back. */
  readonly isCommit: boolean
  /** Of the statements, in their order. */
  readonly fates: Fate[] = []
  /** Of the end that commits several statements. */
  endFate: Fate = 'pass'
  /** How many statements are done. */
  done = 0

  constructor(kind: 'start' | 'simple' | 'commit' | 'extended') {
    this.isSimple = kind === 'simple' || kind === 'commit'
    this.isCommit = kind === 'commit'
  }

  /** Of what Postgres is at. */
  get fate(): Fate {
    return this.fates[this.isSimple ? 0 : this.done] ?? this.endFate
  }
}

const executeNothing = framed('E', Buffer.concat([Buffer.from('there_is_no_such_portal\0'), Buffer.alloc(4)]))

/** One connection of a client, and the one to Postgres that stands behind it. */
class Link {
  isStranded = false
  readonly #proxy: PostgresProxy
  readonly #client: Socket
  readonly #postgres: Socket
  readonly #number: number
  readonly #prepared = new Map<string, string>()
  #bound = ''
  #isStarted = false
  /** What is still to be answered by a `ReadyForQuery`, the oldest first: to begin with, the start itself. */
  readonly #pending: Pending[] = [new Pending('start')]
  /** The last of them while its Sync has not come. */
  #open: Pending | null = null
  /** The connection breaks when the statement that was just sent is done: what comes behind it does not reach Postgres. */
  #isLast = false
  #isWithheld = false

  constructor(proxy: PostgresProxy, client: Socket, postgres: Socket, number: number) {
    this.#proxy = proxy
    this.#client = client
    this.#postgres = postgres
    this.#number = number
    client.setNoDelay(true)
    const toPostgres = new Pipe(proxy, this, postgres)
    const toClient = new Pipe(proxy, this, client)
    const asked = new Framing(
      () => !this.#isStarted,
      message => {
        const out = this.#ask(message)
        if (out) toPostgres.write(out)
      },
    )
    const answered = new Framing(
      () => false,
      message => {
        const out = this.#answer(message)
        if (out) toClient.write(out)
      },
    )
    client.on('data', chunk => asked.push(chunk))
    postgres.on('data', chunk => answered.push(chunk))
    for (const socket of [client, postgres]) {
      socket.on('error', () => this.cut())
      socket.on('close', () => this.cut())
    }
  }

  cut(): void {
    this.#client.destroy()
    this.#postgres.destroy()
  }

  /** What goes on to Postgres in place of a client's message. */
  #ask(message: Buffer): Buffer | null {
    if (this.#client.destroyed || this.#isWithheld) return null
    if (!this.#isStarted) {
      this.#isStarted = true
      return message
    }
    const type = String.fromCharCode(message[0] ?? 0)
    if (type === 'P') {
      const [name, text] = [cString(message, 5), cString(message, 6 + Buffer.byteLength(cString(message, 5)))]
      this.#prepared.set(name, text)
    } else if (type === 'B') {
      const portal = cString(message, 5)
      this.#bound = cString(message, 6 + Buffer.byteLength(portal))
    } else if (type === 'E') {
      const out = this.#send('E', this.#prepared.get(this.#bound) ?? '', message)
      this.#isLast = this.#open?.fates.at(-1) === 'cut_after'
      return out
    } else if (type === 'Q') {
      return this.#send('Q', cString(message, 5), message)
    } else if (type === 'S') {
      return this.#sync(message)
    }
    if (!this.#isLast) return message
    // Done, but not committed: Postgres says so when it is asked to, and waits for more.
    this.#isWithheld = true
    return framed('H', Buffer.alloc(0))
  }

  #send(type: 'Q' | 'E', text: string, message: Buffer): Buffer | null {
    const isCommit = /^\s*commit\b/i.test(text)
    const fate = this.#fateOf(text)
    if (fate === 'cut_before') {
      this.cut()
      return null
    }
    if (type === 'Q') this.#pending.push(new Pending(isCommit ? 'commit' : 'simple'))
    else if (this.#open === null) this.#pending.push((this.#open = new Pending('extended')))
    this.#pending.at(-1)?.fates.push(fate)
    if (typeof fate !== 'object') return message
    if (isCommit) {
      if (type === 'Q') return framed('Q', Buffer.from('ROLLBACK\0'))
      throw new Error('COMMIT came as a prepared statement')
    }
    return type === 'Q' ? framed('Q', Buffer.from('SELECT there_is_no_such_column\0')) : executeNothing
  }

  /** The end of the statements that were sent since the last one: where they are several it is what commits them. */
  #sync(message: Buffer): Buffer | null {
    const ended = this.#open
    this.#open = null
    this.#isLast = false
    if (ended === null) {
      this.#pending.push(new Pending('extended'))
      return message
    }
    if (ended.fates.length < 2) return message
    ended.endFate = this.#fateOf('COMMIT')
    if (ended.endFate === 'cut_before') {
      this.cut()
      return null
    }
    return typeof ended.endFate === 'object' ? Buffer.concat([executeNothing, message]) : message
  }

  #fateOf(text: string): Fate {
    const wanted = this.#proxy.decide({ text, connection: this.#number })
    // What begins or rolls back a transaction fails only together with its connection.
    const isControl = /^\s*(begin|start transaction|rollback)\b/i.test(text)
    return typeof wanted === 'object' && isControl ? 'cut_before' : wanted
  }

  /** What goes on to the client in place of Postgres's message. */
  #answer(message: Buffer): Buffer | null {
    if (this.#client.destroyed) return null
    const type = String.fromCharCode(message[0] ?? 0)
    if (type === 'A') return this.#proxy.keepsBack(cString(message, 9)) ? null : message
    const [current] = this.#pending
    if (!current || !['C', 'E', 'I', 'Z'].includes(type)) return message
    // The end of several statements is told by nothing but this.
    if (type === 'Z') this.#pending.shift()
    if (type === 'Z' ? current.endFate === 'cut_after' : current.fate === 'cut_after') {
      this.cut()
      return null
    }
    if (type === 'Z') return message
    const { fate } = current
    if (typeof fate === 'object') {
      if (type === 'E' || current.isCommit) return refusal(fate.sqlstate)
      throw new Error('a statement that was to be refused was not')
    }
    current.done += 1
    return message
  }
}

/** Cuts a stream into messages: type (absent from the first of a client), length, content. */
class Framing {
  readonly #isFirst: () => boolean
  readonly #take: (message: Buffer) => void
  #rest: Buffer = Buffer.alloc(0)

  constructor(isFirst: () => boolean, take: (message: Buffer) => void) {
    this.#isFirst = isFirst
    this.#take = take
  }

  push(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    for (;;) {
      const lengthAt = this.#isFirst() ? 0 : 1
      if (this.#rest.length < lengthAt + 4) return
      const end = lengthAt + this.#rest.readInt32BE(lengthAt)
      if (this.#rest.length < end) return
      const message = this.#rest.subarray(0, end)
      this.#rest = this.#rest.subarray(end)
      this.#take(message)
    }
  }
}

/** One direction of a connection, with the proxy's delay and width. */
class Pipe {
  readonly #proxy: PostgresProxy
  readonly #link: Link
  readonly #to: Socket
  #queue: { readonly message: Buffer; readonly dueMs: number }[] = []
  #isRunning = false

  constructor(proxy: PostgresProxy, link: Link, to: Socket) {
    this.#proxy = proxy
    this.#link = link
    this.#to = to
  }

  write(message: Buffer): void {
    const { delayMs, bytesPerSecond } = this.#proxy
    if (this.#link.isStranded) return
    if (delayMs === 0 && bytesPerSecond === null && !this.#isRunning) {
      this.#to.write(message)
      return
    }
    this.#queue.push({ message, dueMs: performance.now() + delayMs })
    if (!this.#isRunning) void this.#run()
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
      const waitMs = next.dueMs - performance.now()
      if (waitMs > 0) await sleep(waitMs)
      const { bytesPerSecond } = this.#proxy
      if (bytesPerSecond !== null) await sleep((next.message.length / bytesPerSecond) * 1000)
      if (this.#to.destroyed || this.#link.isStranded) continue
      this.#to.write(next.message)
    }
    this.#isRunning = false
  }
}

function cString(message: Buffer, from: number): string {
  return message.toString('utf8', from, message.indexOf(0, from))
}

function framed(type: string, content: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeInt32BE(content.length + 4, 1)
  return Buffer.concat([head, content])
}

function refusal(sqlstate: string): Buffer {
  return framed('E', Buffer.from(`SERROR\0VERROR\0C${sqlstate}\0Mrefused by the test\0\0`))
}

/** Lets exactly one statement meet a fate: the n-th of those that are sent from now on and that count, from 1. */
export class NthStatement {
  readonly #nth: number
  readonly #fate: Fate
  readonly #counts: (text: string) => boolean
  #seen = 0

  constructor(nth: number, fate: Fate, counts: (text: string) => boolean = () => true) {
    this.#nth = nth
    this.#fate = fate
    this.#counts = counts
  }

  /** False when fewer statements came. */
  get hasStruck(): boolean {
    return this.#seen >= this.#nth
  }

  readonly decide = ({ text }: SentStatement): Fate => {
    if (!this.#counts(text)) return 'pass'
    this.#seen += 1
    return this.#seen === this.#nth ? this.#fate : 'pass'
  }
}
