import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A plain TCP connection, for requests that no HTTP client would make. */
export class RawConnection {
  readonly socket: Socket
  #received = ''
  #isClosed = false

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('latin1')
    socket.on('data', text => (this.#received += String(text)))
    socket.on('close', () => (this.#isClosed = true))
    // `close` follows.
    socket.on('error', () => undefined)
  }

  static open(baseUrl: string): Promise<RawConnection> {
    const { hostname, port } = new URL(baseUrl)
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => resolve(new RawConnection(socket)))
      socket.once('error', reject)
    })
  }

  get received(): string {
    return this.#received
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  write(text: string | Uint8Array): void {
    this.socket.write(text)
  }

  /** Waits for real input and output until `condition` holds; throws after five seconds. */
  async until(condition: (received: string) => boolean): Promise<string> {
    for (let tries = 0; tries < 500; tries++) {
      if (condition(this.#received)) return this.#received
      await sleep(10)
    }
    throw new Error(`what was waited for did not come; received: ${this.#received.slice(0, 1_000)}`)
  }

  /** Resolves when the server has closed the connection. */
  untilClosed(): Promise<string> {
    return this.until(() => this.#isClosed)
  }

  close(): void {
    this.socket.destroy()
  }
}
