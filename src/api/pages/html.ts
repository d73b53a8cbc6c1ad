import { createHash } from 'node:crypto'
import { Reply } from '../../http/endpoint.ts'

/** HTML that is safe to send: whatever was put in is escaped. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** ``html`<p>${text}</p>` ``: escapes what is put in, unless it is `Html` itself. */
export function html(literals: TemplateStringsArray, ...values: readonly (string | Html)[]): Html {
  const parts = literals.map((literal, index) => {
    if (index === 0) return literal
    const value = values[index - 1] ?? ''
    return (value instanceof Html ? value.text : escapeHtml(value)) + literal
  })
  return new Html(parts.join(''))
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, character => entities[character] ?? '')
}

const style = `
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 3rem auto; padding: 0 1rem; }
label { display: block; margin: 1rem 0 0.25rem; }
input { font: inherit; width: 100%; padding: 0.5rem; box-sizing: border-box; }
button { font: inherit; margin-top: 1.5rem; padding: 0.5rem 1.5rem; }
[role=alert] { border-left: 0.25rem solid #b00020; padding-left: 0.75rem; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee; } a { color: #9cf; } }
`

const sourceOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/**
 * A page with nothing from elsewhere: no frames, no images, no script but `script`, which must not depend on the request.
 * Its address may be a secret, so nobody is told of it and nobody keeps it.
 */
export function page(
  title: string,
  content: Html,
  more: { readonly status?: number; readonly script?: string } = {},
): Reply {
  const script = more.script === undefined ? '' : `<script>${more.script}</script>`
  const policy = [
    "default-src 'none'",
    `style-src ${sourceOf(style)}`,
    ...(more.script === undefined ? [] : [`script-src ${sourceOf(more.script)}`]),
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ]
  const head = html`<meta charset="utf-8" /><meta name="viewport" content="width=device-width" /><title>
      ${title}
    </title>`
  const text =
    `<!doctype html><html lang="en"><head>${head.text}<style>${style}</style></head>` +
    `<body><main><h1>${escapeHtml(title)}</h1>${content.text}</main>${script}</body></html>`
  return new Reply(text, {
    status: more.status ?? 200,
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': policy.join('; '),
      'Referrer-Policy': 'no-referrer',
      'X-Frame-Options': 'DENY',
      'Cache-Control': 'no-store',
    },
  })
}
