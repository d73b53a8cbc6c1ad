import qrcode from 'qrcode-generator'
import { Html, html } from './html.ts'

/** Modules of white that a reader needs around a code. */
const margin = 4

/** A text as a QR code, drawn in the page itself; `name` says what it is to those who cannot see it. */
export function qrCode(text: string, name: string): Html {
  const code = qrcode(0, 'M')
  code.addData(text)
  code.make()
  const size = code.getModuleCount()
  const squares: string[] = []
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      if (code.isDark(row, column)) squares.push(`M${column + margin} ${row + margin}h1v1h-1z`)
    }
  }
  const side = String(size + 2 * margin)
  return html`<svg viewBox="0 0 ${side} ${side}" role="img" aria-label="${name}" shape-rendering="crispEdges">
    <rect width="${side}" height="${side}" fill="#fff" />
    <path fill="#000" d="${new Html(squares.join(''))}" />
  </svg>`
}
