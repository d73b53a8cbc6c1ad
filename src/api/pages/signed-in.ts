import { formKey, isFormKey, type PageVisitor, visitorOf } from '../../accounts/page-sessions.ts'
import { type Context } from '../../context.ts'
import { forbidden, MatrixError } from '../../errors.ts'
import { type Browser, type Reply } from '../../http/endpoint.ts'
import { type Actor } from '../../rooms/actor.ts'
import { readForm } from './form.ts'
import { html, type Html, joined, page, seeOther } from './html.ts'

/** Somebody who looks at the pages, signed in. */
export interface Visit {
  readonly visitor: PageVisitor
  /** As what they act in rooms. */
  readonly actor: Actor
  /** What every form of theirs has in it. */
  readonly key: Html
}

/** What pages need of a request. */
interface PageRequest {
  readonly browser: Browser
}
interface FormRequest extends PageRequest {
  readonly upload: Parameters<typeof readForm>[0]
}

/**
 * The cookie's name. Under HTTPS it has the prefix that keeps it from being set by other hosts or without encryption; the
 * address that clients are told decides, for nothing that a request says can be believed.
 */
function cookieName(ctx: Context): string {
  return isSecure(ctx) ? '__Host-lethe' : 'lethe'
}

function isSecure(ctx: Context): boolean {
  return ctx.config.publicBaseUrl?.startsWith('https:') === true
}

/** The header that gives a browser its cookie, or takes it away with `null`. */
export function cookieHeader(ctx: Context, value: string | null): { 'Set-Cookie': string } {
  const secure = isSecure(ctx) ? '; Secure' : ''
  const end = value === null ? '; Max-Age=0' : ''
  return { 'Set-Cookie': `${cookieName(ctx)}=${value ?? ''}; Path=/; HttpOnly; SameSite=Strict${secure}${end}` }
}

/** The cookie that a browser sent. */
export function cookieOf(ctx: Context, browser: Browser): string | null {
  return browser.cookie(cookieName(ctx))
}

/** Who is looking; `null` for somebody who is not signed in. */
export async function visitOf(ctx: Context, browser: Browser): Promise<Visit | null> {
  const cookie = cookieOf(ctx, browser)
  const visitor = await visitorOf(ctx, cookie)
  if (!visitor || cookie === null) return null
  return {
    visitor,
    actor: { ...visitor, deviceId: null, isGuest: false },
    key: html`<input type="hidden" name="key" value="${formKey(cookie)}" />`,
  }
}

/** Shows a page to somebody who is signed in; others are shown where to sign in. */
export async function show(
  ctx: Context,
  request: PageRequest,
  build: (visit: Visit) => Promise<Reply> | Reply,
): Promise<Reply> {
  const visit = await visitOf(ctx, request.browser)
  if (!visit) return seeOther('/account')
  return withProblemPage(() => build(visit))
}

/**
 * Takes a form of somebody who is signed in: one that this server gave them in this session, sent by its own page. What is
 * refused is said on a page.
 */
export async function take(
  ctx: Context,
  request: FormRequest,
  use: (visit: Visit, fields: URLSearchParams) => Promise<Reply>,
): Promise<Reply> {
  const { browser, upload } = request
  const fields = await readForm(upload)
  const cookie = cookieOf(ctx, browser)
  const visit = await visitOf(ctx, browser)
  if (!visit || cookie === null) return seeOther('/account')
  return withProblemPage(() => {
    if (!browser.isOwnPage || !isFormKey(cookie, fields.get('key') ?? '')) {
      throw forbidden('This form was not made for you: open the page again')
    }
    return use(visit, fields)
  })
}

/** What goes wrong for a reason is told as a page. */
export async function withProblemPage(build: () => Promise<Reply> | Reply): Promise<Reply> {
  try {
    return await build()
  } catch (error) {
    if (!(error instanceof MatrixError)) throw error
    const content = html`<p role="alert">${error.message}</p>
      <p><a href="/account">Back to your account</a></p>`
    return page('That did not work', content, { status: error.status, headers: error.headers })
  }
}

const places = [
  ['/account', 'Account'],
  ['/account/rooms', 'Rooms'],
  ['/account/devices', 'Devices'],
  ['/account/report', 'What is known'],
  ['/account/erase', 'Erase'],
] as const

export type Place = (typeof places)[number][0]

/** A page of somebody who is signed in, with the way to their other pages. */
export function accountPage(
  title: string,
  visit: Visit,
  place: Place | null,
  content: Html,
  more: { readonly status?: number; readonly isWide?: boolean } = {},
): Reply {
  const links = places.map(([path, name]) =>
    path === place ? html`<a href="${path}" aria-current="page">${name}</a>` : html`<a href="${path}">${name}</a>`,
  )
  const top = html`<nav aria-label="Your account">
    ${joined(links)}
    <form method="post" action="/account/sign-out">${visit.key}<button class="plain">Sign out</button></form>
  </nav>`
  return page(title, content, { isWide: true, ...more, top })
}

/** A notice of what has just been done. */
export function done(text: string | undefined): Html {
  return text === undefined ? html`` : html`<p role="status">${text}</p>`
}
