import { endpoint } from '../../http/endpoint.ts'
import { type Report, type ReportedKind, reportOn } from '../../privacy/report.ts'
import { spanWords } from '../../privacy/room-lifetime.ts'
import { html, type Html, joined } from './html.ts'
import { accountPage, show } from './signed-in.ts'

/** What this server knows of whoever looks. */
export const getReportPage = endpoint({
  method: 'GET',
  path: '/account/report',
  auth: 'none',
  limit: 'heavy',
  handle: (ctx, request) =>
    show(ctx, request, async visit => {
      const report = await reportOn(ctx, visit.visitor)
      return accountPage('What this server knows of you', visit, '/account/report', content(report))
    }),
})

function content(report: Report): Html {
  const known = report.kinds.filter(kind => kind.count > 0)
  const unknown = report.kinds.filter(kind => kind.count === 0)
  return html`<p>
      Everything in the database that is about <strong class="code">${report.userId}</strong>, table by table. Uploaded
      files lie beside it. <a href="/account/export">Take it with you</a>
    </p>
    <section>
      <h2>What matters for it</h2>
      <ul>
        ${joined(settings(report).map(line => html`<li>${line}</li>`))}
      </ul>
    </section>
    <section>
      <h2>Who else has copies</h2>
      <ul>
        <li>${others(report)}</li>
        <li>The devices of everybody whom you have written to, for as long as they keep it.</li>
        <li>Backups that the operator has made. They hold what was here when they were made.</li>
      </ul>
    </section>
    ${joined(known.map(shown))}
    <details>
      <summary>Nothing of these kinds (${String(unknown.length)})</summary>
      <ul>
        ${joined(unknown.map(kind => html`<li>${kind.purpose}</li>`))}
      </ul>
    </details>`
}

function settings({ settings }: Report): string[] {
  const { defaultLifetimeMs, databaseLogs, isSealed, operator } = settings
  return [
    defaultLifetimeMs === null
      ? 'Messages are kept as long as the server where their room does not say otherwise.'
      : `Messages are deleted after ${spanWords(defaultLifetimeMs)} where their room does not say otherwise.`,
    isSealed
      ? 'Texts are encrypted in the database; what is deleted becomes unreadable there when its key is destroyed.'
      : 'Texts are not encrypted in the database: what is deleted stays in its files until they are overwritten.',
    databaseLogs.isControlled
      ? 'The database’s own log holds nothing of what you write.'
      : `The database’s own log is not controlled: ${databaseLogs.problems.join('; ')}.`,
    operator.length === 0
      ? 'The operator has not said who they are.'
      : `The operator: ${operator.map(({ address }) => address).join(', ')}.`,
  ]
}

function others({ rooms, settings }: Report): string {
  if (!settings.federates) return 'No other server: this one talks to none.'
  const servers = [...new Set(rooms.flatMap(room => room.otherServers))].sort()
  return servers.length === 0 ? 'No other server is in your rooms now.' : `The servers ${servers.join(', ')}.`
}

function shown(kind: ReportedKind): Html {
  const columns = Object.entries(kind.columns).map(
    ([name, purpose]) =>
      html`<tr>
        <th scope="row" class="code">${name}</th>
        <td>${purpose}</td>
      </tr>`,
  )
  const rows = kind.rows.map(row => JSON.stringify(row, null, 1)).join('\n')
  const rest = kind.count - kind.rows.length
  return html`<details>
    <summary>${kind.purpose} <span class="soft">${String(kind.count)}</span></summary>
    <p class="soft">
      Table <span class="code">${kind.table}</span>. Kept ${kind.lifetime}. If you erase your account: ${kind.erasure}
    </p>
    <table>
      ${joined(columns)}
    </table>
    <pre>${rows}</pre>
    ${rest > 0 ? html`<p class="soft">And ${String(rest)} more, which are in the export.</p>` : html``}
  </details>`
}
