import { type ServerResponse } from 'node:http'
import { type RequestEnd } from './endpoint.ts'

/**
 * The ends of the requests of one server. Not `AbortSignal`s: thousands that wait would each listen to the one of the
 * shutdown, and a signal looks through all its listeners whenever one is added or removed.
 */
export class RequestEnds {
  readonly #shutdown: AbortSignal
  readonly #running = new Set<End>()

  constructor(shutdown: AbortSignal) {
    this.#shutdown = shutdown
    shutdown.addEventListener(
      'abort',
      () => {
        for (const end of [...this.#running]) this.#finish(end)
      },
      { once: true },
    )
  }

  /** The end of the request that a response is for: its connection closes, or the server drains. */
  of(response: ServerResponse): RequestEnd {
    const end = new End()
    if (response.destroyed || this.#shutdown.aborted) {
      end.finish()
      return end
    }
    this.#running.add(end)
    response.once('close', () => this.#finish(end))
    return end
  }

  #finish(end: End): void {
    this.#running.delete(end)
    end.finish()
  }
}

class End implements RequestEnd {
  isOver = false
  #listeners: (() => void)[] = []

  listen(listener: () => void): () => void {
    if (this.isOver) listener()
    else this.#listeners.push(listener)
    return () => {
      this.#listeners = this.#listeners.filter(each => each !== listener)
    }
  }

  finish(): void {
    this.isOver = true
    for (const listener of this.#listeners.splice(0)) listener()
  }
}
