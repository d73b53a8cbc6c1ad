import { type Device, devicesOf, removeDevices } from '../../accounts/devices.ts'
import { invalidParam } from '../../errors.ts'
import { oneOf, optional } from '../../http/decoders.ts'
import { endpoint } from '../../http/endpoint.ts'
import { parseDeviceId } from '../../protocol/identifiers.ts'
import { html, type Html, joined, seeOther } from './html.ts'
import { accountPage, done, show, take } from './signed-in.ts'

/** One’s devices. */
export const getDevicesPage = endpoint({
  method: 'GET',
  path: '/account/devices',
  auth: 'none',
  limit: 'anonymous',
  query: { done: optional(oneOf('removed')) },
  handle: (ctx, request) =>
    show(ctx, request, async visit => {
      const devices = await devicesOf(ctx.db.kysely, ctx.numbers.sealer, visit.visitor.userNumber)
      const list = devices.map(device => shown(device, visit.key))
      return accountPage(
        'Your devices',
        visit,
        '/account/devices',
        html`${done(request.query.done && 'The device is signed out; its keys are deleted.')}
          <p>Removing a device signs it out and deletes its keys and what waits for it here.</p>
          <section>${list.length > 0 ? joined(list) : html`<p>No device is signed in.</p>`}</section>`,
      )
    }),
})

/** Removes a device. */
export const postDevicesPage = endpoint({
  method: 'POST',
  path: '/account/devices',
  auth: 'none',
  limit: 'anonymous',
  body: 'stream',
  handle: (ctx, request) =>
    take(ctx, request, async ({ visitor }, fields) => {
      const deviceId = parseDeviceId(fields.get('device') ?? '')
      if (deviceId === null) throw invalidParam('There is no such device')
      await removeDevices(ctx, visitor, { only: [deviceId] }, () => Promise.resolve())
      return seeOther('/account/devices?done=removed')
    }),
})

function shown({ deviceId, displayName, lastSeenOn }: Device, key: Html): Html {
  return html`<div class="row">
    <div>
      <div>${displayName ?? 'A device without a name'}</div>
      <div class="soft"><span class="code">${deviceId}</span>, last used on ${lastSeenOn}</div>
    </div>
    <form method="post">
      ${key}<input type="hidden" name="device" value="${deviceId}" />
      <button class="bad" aria-label="Remove ${displayName ?? deviceId}">Remove</button>
    </form>
  </div>`
}
