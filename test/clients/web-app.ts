import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, stop } from 'esbuild'

/** A web client on an origin of its own. */
export interface WebApp {
  /** `http://127.0.0.1:port`. */
  readonly origin: string
  close(): Promise<void>
}

interface File {
  readonly type: string
  readonly bytes: Uint8Array
}

const page = `<!doctype html><html lang="en"><head><meta charset="utf-8" /><title>A web client</title></head>
<body><script type="module" src="/app.js"></script></body></html>`

/** Bundles `browser-page.ts` as web clients are bundled, and serves it; its exports are `chat` in the page. */
export async function serveWebApp(): Promise<WebApp> {
  const wasmPackage = dirname(fileURLToPath(import.meta.resolve('@matrix-org/matrix-sdk-crypto-wasm')))
  // The name under which the package looks for it, beside itself.
  const wasmPath = 'pkg/matrix_sdk_crypto_wasm_bg.wasm'
  const files = new Map<string, File>([
    ['/', { type: 'text/html; charset=utf-8', bytes: Buffer.from(page) }],
    ['/app.js', { type: 'text/javascript', bytes: await bundle() }],
    [`/${wasmPath}`, { type: 'application/wasm', bytes: await readFile(join(wasmPackage, wasmPath)) }],
  ])
  const server = createServer((request, response) => {
    const file = files.get(request.url ?? '')
    response.writeHead(file ? 200 : 404, file ? { 'content-type': file.type } : {}).end(file?.bytes)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  // A listener on host and port has an address of that kind.
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function bundle(): Promise<Uint8Array> {
  const folder = dirname(fileURLToPath(import.meta.url))
  const { outputFiles } = await build({
    stdin: { contents: "import * as chat from './browser-page.ts'\nglobalThis.chat = chat", resolveDir: folder },
    bundle: true,
    write: false,
    platform: 'browser',
    format: 'esm',
    target: 'es2022',
    define: { global: 'globalThis' },
    logLevel: 'silent',
  })
  // Its process would keep the tests' from ending.
  await stop()
  const [output] = outputFiles
  if (!output) throw new Error('nothing was bundled')
  return output.contents
}
