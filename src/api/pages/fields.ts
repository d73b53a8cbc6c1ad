import { passwordLeastCharacters, passwordLimitBytes } from '../../accounts/passwords.ts'
import { type Html, html } from './html.ts'

/** Where somebody says who they are. `id` is also the field's name; `hint`: the element that explains it. */
export function nameField(
  id: string,
  value: string,
  { most = 255, hint }: { readonly most?: number; readonly hint?: string } = {},
): Html {
  return html`<input
    id="${id}"
    name="${id}"
    value="${value}"
    required
    maxlength="${String(most)}"
    autocapitalize="none"
    autocomplete="username"
    spellcheck="false"
    ${describedBy(hint)}
  />`
}

/** Where somebody types the password that they have. */
export function passwordField(): Html {
  return html`<input id="password" name="password" type="password" required autocomplete="current-password" />`
}

/** Where somebody chooses a password. `hint`: the element that explains it. */
export function newPasswordField(hint?: string): Html {
  return html`<input
    id="password"
    name="password"
    type="password"
    required
    minlength="${String(passwordLeastCharacters)}"
    maxlength="${String(passwordLimitBytes)}"
    autocomplete="new-password"
    ${describedBy(hint)}
  />`
}

function describedBy(hint: string | undefined): Html {
  return hint === undefined ? html`` : html`aria-describedby="${hint}"`
}
