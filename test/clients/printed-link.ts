import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

/** A server that somebody started from a shell, as far as its output goes. */
export interface StartedServer {
  readonly child: ChildProcess
  /** Where it listens. */
  readonly url: string
  /** The link that makes the first account. */
  readonly link: string
  /** Stops it as a service manager does; the exit status, `null` when a signal ended it. */
  stop(): Promise<number | null>
  /** Ctrl-C in its terminal, which everything that the command started gets. */
  interrupt(): Promise<number | null>
}

/** Starts a server with a command and waits for the link that it prints; rejects with what it printed if it ends before. */
export async function startAndReadLink(
  command: string,
  parameters: readonly string[],
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string | undefined>> },
): Promise<StartedServer> {
  const child = spawn(command, [...parameters], { ...options, env: { ...options.env }, stdio: ['ignore', 'pipe', 'pipe'], detached: true }) // prettier-ignore
  const exited = once(child, 'exit').then(([code]) => code as number | null) // The event's first value is the code.
  let printed = ''
  const found = new Promise<{ url: string; link: string }>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      printed += chunk.toString()
      const url = /listening on (http:\/\/\S+?),/.exec(printed)?.[1]
      const link = /(https?:\/\/\S+\/join\/\S+)\n/.exec(printed)?.[1]
      if (url !== undefined && link !== undefined) resolve({ url, link })
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.on('error', reject)
    void exited.then(code => reject(new Error(`it ended with ${code}: ${printed}`)))
  })
  const { url, link } = await found
  return {
    child,
    url,
    link,
    stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      return exited
    },
    interrupt() {
      // Detached, it leads a group of its own.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGINT')
      return exited
    },
  }
}
