import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CommonOptions } from './command.ts'
import { serve } from './serve.ts'

/**
 * What may be said of a trial. Nothing that reaches beyond its folder and this machine: no database, keyring, Vault, key or
 * media of a server that is there for good, no other host to listen on, no federation.
 */
const sayable =
  /^LETHE_(SERVER_NAME|PUBLIC_BASE_URL|LISTEN__PORT|METRICS__(ENABLED|PORT)|ADMIN__(CONTENT_ACCESS|LISTEN__(ENABLED|PORT))|MEDIA__(MAX_UPLOAD_BYTES|LIFETIME)|(LOG|REGISTRATION|RATE_LIMITS|RETENTION|ROOMS|PROFILES|SHARING|ENCRYPTION)__\w+)$/

/**
 * Runs a server in a folder of its own, which goes with it: with an embedded database, on this machine alone. It reads no
 * settings file, and of the environment only what `sayable` names.
 */
export async function tryOut(options: Pick<CommonOptions, 'json'>): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'lethe-try-'))
  try {
    const ours = Object.keys(process.env).filter(name => name.startsWith('LETHE_') && process.env[name] !== '')
    const leftOut = ours.filter(name => !sayable.test(name)).sort()
    if (leftOut.length > 0) process.stderr.write(`A trial does without ${leftOut.join(', ')}.\n`)
    const said = Object.fromEntries(ours.flatMap(name => (sayable.test(name) ? [[name, process.env[name]]] : [])))
    // The folder is also where a settings file would be looked for: there is none in it.
    return await serve(options, { env: { ...said, LETHE_DATA_DIR: folder }, cwd: folder })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
