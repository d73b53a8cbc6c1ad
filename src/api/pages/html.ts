import { createHash } from 'node:crypto'
import { Reply } from '../../http/endpoint.ts'

/** HTML that is safe to send: whatever was put in is escaped. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** Pieces one after another. */
export function joined(pieces: readonly Html[]): Html {
  return new Html(pieces.map(piece => piece.text).join(''))
}

/** Sends the browser to another page of this server, which it asks for with GET. `path` is one of our own. */
export function seeOther(path: string, headers: Readonly<Record<string, string>> = {}): Reply {
  return new Reply(null, { status: 303, headers: { Location: path, 'Cache-Control': 'no-store', ...headers } })
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
:root { color-scheme: light dark; --ink: #1b2431; --soft: #566276; --line: #dde3ea; --paper: #fff; --ground: #f4f6f8; --tint: #eaf1f6;
  --accent: #1d5e88; --on-accent: #fff; --bad: #a8322a; --good: #1d6b3c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9fabbc; --line: #2c3645; --paper: #181e28; --ground: #10151c;
  --tint: #1c2a38; --accent: #86c1ea; --on-accent: #0d2233; --bad: #ff9a92; --good: #86d8a4; } }
* { box-sizing: border-box; }
body { font: 1rem/1.55 system-ui, sans-serif; max-width: 32rem; margin: 0 auto; padding: 1rem 1rem 4rem; color: var(--ink);
  background: var(--ground); }
body.wide { max-width: 46rem; }
header { display: flex; flex-wrap: wrap; gap: 0.5rem 1.5rem; align-items: center; padding-bottom: 0.75rem;
  border-bottom: 1px solid var(--line); }
header > a { display: flex; gap: 0.5rem; align-items: center; color: var(--ink); font-weight: 600; text-decoration: none; }
header svg { width: 1.5rem; height: 1.5rem; color: var(--accent); }
h1 { font-size: 1.75rem; line-height: 1.2; letter-spacing: -0.01em; margin: 2rem 0 0.75rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 0.5rem; }
p { margin: 0.5rem 0; }
a { color: var(--accent); text-underline-offset: 0.15em; }
.soft, .hint { color: var(--soft); font-size: 0.9rem; }
code, .code { font: 0.9em ui-monospace, monospace; overflow-wrap: anywhere; }
strong { overflow-wrap: anywhere; }
nav { display: flex; flex: 1; flex-wrap: wrap; gap: 0.25rem 1rem; align-items: center; font-size: 0.95rem; }
nav form { margin-left: auto; }
nav a { padding: 0.25rem 0; text-decoration: none; }
nav a:hover { text-decoration: underline; }
nav a[aria-current] { color: var(--ink); font-weight: 600; }
section, details { background: var(--paper); border: 1px solid var(--line); border-radius: 0.6rem; padding: 1.1rem 1.25rem; margin: 1rem 0; }
details { margin: 0.5rem 0; padding: 0.75rem 1.25rem; }
summary { cursor: pointer; }
details[open] > summary { font-weight: 600; }
ul { padding-left: 1.25rem; margin: 0.5rem 0; }
li { margin: 0.35rem 0; }
ul.ways { list-style: none; padding: 0; margin: -0.5rem 0; }
ul.ways li { margin: 0; padding: 0.6rem 0; border-top: 1px solid var(--line); }
ul.ways li:first-child { border-top: 0; }
ul.ways .soft { display: block; }
label { display: block; margin: 1.25rem 0 0.25rem; font-weight: 600; }
section > form > label:first-of-type { margin-top: 0; }
label.choice { font-weight: 400; display: flex; flex-wrap: wrap; gap: 0 0.5rem; align-items: baseline; margin: 0.5rem 0; }
label.tick { flex-wrap: nowrap; }
.hint { margin: 0 0 0.4rem; }
ul + h2 { margin-top: 1.25rem; }
input, select { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--soft); border-radius: 0.4rem;
  padding: 0.55rem 0.65rem; }
input:not([type=checkbox]) { width: 100%; }
input[type=checkbox] { flex: none; width: 1rem; height: 1rem; }
select { min-width: 0; max-width: 100%; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
button, a.button { display: inline-block; font: inherit; font-weight: 600; margin-top: 1.25rem; padding: 0.55rem 1.25rem; border: 1px solid var(--accent);
  border-radius: 0.4rem; background: var(--accent); color: var(--on-accent); text-decoration: none; cursor: pointer; }
p > a.button { margin-top: 0.5rem; }
button.plain, a.plain { background: none; color: var(--accent); }
button.bad { background: none; border-color: var(--bad); color: var(--bad); }
nav button, .row button { margin: 0; padding: 0.25rem 0.75rem; }
.row { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; justify-content: space-between; }
.row > *, label.choice > * { min-width: 0; max-width: 100%; }
.row + .row { border-top: 1px solid var(--line); margin-top: 0.75rem; padding-top: 0.75rem; }
.key { font: 600 1.1rem/1.6 ui-monospace, monospace; background: var(--tint); border-radius: 0.4rem; padding: 0.75rem 1rem;
  text-align: center; text-wrap: balance; overflow-wrap: anywhere; user-select: all; }
.beside { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; }
.beside > * { flex: 1 1 12rem; }
.beside > svg { flex: 0 0 auto; width: 11rem; height: 11rem; border-radius: 0.4rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 0.75rem 0.4rem 0; border-bottom: 1px solid var(--line); }
tr:last-child > * { border-bottom: 0; }
td { overflow-wrap: anywhere; }
th, td.number { white-space: nowrap; font-weight: 400; }
td.number { text-align: right; }
@media (max-width: 34rem) { th { white-space: normal; overflow-wrap: anywhere; } h1 { margin-top: 1.25rem; }
  section { padding: 1rem; } nav { flex-basis: 100%; } }
pre { font: 0.8rem/1.4 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 20rem; overflow-y: auto;
  background: var(--ground); padding: 0.75rem; border-radius: 0.4rem; margin: 0.75rem 0 0; }
[role=alert] { border-left: 0.25rem solid var(--bad); padding: 0.35rem 0.75rem; background: var(--paper); }
[role=status] { border-left: 0.25rem solid var(--good); padding: 0.35rem 0.75rem; background: var(--paper); }
`

/** The river: three waves, each fainter than the one before. */
const mark =
  '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" aria-hidden="true">' +
  '<path d="M3 7c3-3 6-3 9 0s6 3 9 0" /><path opacity=".55" d="M3 12.5c3-3 6-3 9 0s6 3 9 0" />' +
  '<path opacity=".25" d="M3 18c3-3 6-3 9 0s6 3 9 0" /></svg>'

const sourceOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/**
 * A page with nothing from elsewhere: no frames, no images, no script but `script`, which must not depend on the request.
 * Its address may be a secret, so nobody is told of it and nobody keeps it.
 */
export function page(
  title: string,
  content: Html,
  more: {
    readonly status?: number
    readonly script?: string
    /** What stands beside the mark above the title: the way to other pages. */
    readonly top?: Html
    /** For pages with more than a form. */
    readonly isWide?: boolean
    readonly headers?: Readonly<Record<string, string>>
  } = {},
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
    `<body${more.isWide === true ? ' class="wide"' : ''}><header><a href="/">${mark}Lethe</a>${more.top?.text ?? ''}</header>` +
    `<main><h1>${escapeHtml(title)}</h1>${content.text}</main>${script}</body></html>`
  return new Reply(text, {
    status: more.status ?? 200,
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': policy.join('; '),
      'Referrer-Policy': 'no-referrer',
      'X-Frame-Options': 'DENY',
      'Cache-Control': 'no-store',
      ...more.headers,
    },
  })
}
