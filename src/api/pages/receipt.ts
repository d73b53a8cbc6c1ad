import { type Context } from '../../context.ts'
import { MatrixError } from '../../errors.ts'
import { string } from '../../http/decoders.ts'
import { endpoint, type Reply } from '../../http/endpoint.ts'
import { findReceipt, purposeOf, type Receipt, takeReceipt } from '../../privacy/erase.ts'
import { html, type Html, joined, page } from './html.ts'

/** Where a receipt is fetched: a whole address if that of the server is known. */
export function receiptAddress(ctx: Context, token: string): string {
  return `${(ctx.config.publicBaseUrl ?? '').replace(/\/$/, '')}/receipt/${token}`
}

/** How far the erasing of an account has come. Opening the link does not use it up. */
export const getReceipt = endpoint({
  method: 'GET',
  path: '/receipt/:token',
  auth: 'none',
  limit: 'anonymous',
  params: { token: string },
  handle: (ctx, { params }) => orGone(async () => waiting(await findReceipt(ctx, params.token))),
})

/** Hands the receipt over and forgets it. */
export const postReceipt = endpoint({
  method: 'POST',
  path: '/receipt/:token',
  auth: 'none',
  limit: 'anonymous',
  params: { token: string },
  handle: (ctx, { params }) =>
    orGone(async () => {
      const receipt = await findReceipt(ctx, params.token)
      return receipt.finishedOn === null ? waiting(receipt) : handedOver(await takeReceipt(ctx, params.token))
    }),
})

async function orGone(build: () => Promise<Reply>): Promise<Reply> {
  try {
    return await build()
  } catch (error) {
    if (!(error instanceof MatrixError) || error.errcode !== 'M_NOT_FOUND') throw error
    const content = html`<p>It was fetched before, or it has expired. Nothing is kept of it then.</p>`
    return page('There is no such receipt', content, { status: 404 })
  }
}

function waiting(receipt: Receipt): Reply {
  const { userId, askedOn, finishedOn } = receipt
  if (finishedOn === null) {
    return page(
      'Your account is being erased',
      html`<p><strong class="code">${userId}</strong>, since ${askedOn}. It goes on even if the server is restarted.</p>
        <section>
          <h2>Done so far</h2>
          ${erased(receipt)}
        </section>
        <p>Keep this page’s address and open it again later: the receipt will be here.</p>
        <p><a class="button" href="">Look again</a></p>`,
    )
  }
  return page(
    'Your account is erased',
    html`<p>On ${finishedOn}. The receipt says what was erased, what remains, where and why.</p>
      <p>It is shown once: when you have seen it, this server forgets it. Keep a copy if you want one.</p>
      <form method="post"><button>Show the receipt</button></form>`,
  )
}

function handedOver(receipt: Receipt): Reply {
  const kept = receipt.kept.map(
    ({ table, count, why }) =>
      html`<tr>
        <td>${why} <span class="soft code" data-table="${table}">${table}</span></td>
        <td class="number">${String(count)}</td>
      </tr>`,
  )
  return page(
    'Receipt',
    html`<p>The account <strong class="code">${receipt.userId}</strong> is erased.</p>
      <p class="soft">Asked for on ${receipt.askedOn}, done on ${receipt.finishedOn ?? ''}.</p>
      <section>
        <h2>What was erased</h2>
        ${erased(receipt)}
      </section>
      <section>
        <h2>What remains here, and why</h2>
        <table>
          ${joined(kept)}
        </table>
      </section>
      <section>
        <h2>What this server cannot reach</h2>
        <ul>
          <li>What others have received, on their devices.</li>
          <li>Your user ID where others wrote it: in their messages, and in the settings of rooms.</li>
          <li>Backups that the operator has made before.</li>
        </ul>
      </section>
      <p class="soft">This receipt is forgotten now. Save the page if you want to keep it.</p>`,
    { isWide: true },
  )
}

/** What was done, in a table: what each kind of thing is, and how many there were. */
function erased({ deleted, pruned }: Receipt): Html {
  const lines = [
    ...Object.entries(deleted).map(([table, count]) => line(table, 'deleted', count)),
    ...Object.entries(pruned).map(([table, count]) => line(table, 'pruned to what a room needs', count)),
  ]
  return lines.length === 0
    ? html`<p>Nothing yet.</p>`
    : html`<table>
        ${joined(lines)}
      </table>`
}

function line(table: string, what: string, count: number): Html {
  return html`<tr>
    <td>${purposeOf(table)} <span class="soft code">${table}</span></td>
    <td class="number">${String(count)}</td>
    <td>${what}</td>
  </tr>`
}
