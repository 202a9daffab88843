// What stands before the page: dialogs, which keep the focus until they are closed, and toasts, which ask for nothing.

import { h, replace, uid } from "./dom.js"
import { icon } from "./icons.js"
import { button } from "./ui.js"

/**
 * Open a dialog. `body(close)` makes its content; `close(value)` ends it. Resolves with that value, null for Escape.
 */
export function dialog({ title, body, wide = false }) {
  return new Promise((resolve) => {
    const id = uid("dialog")
    let result = null
    const close = (value = null) => {
      result = value
      element.close()
    }
    const content = h("div", { class: "dialog-body" })
    const element = h("dialog", { class: wide ? "wide" : "", "aria-labelledby": id, on: { close: ended } },
      h("header", { class: "dialog-head" }, h("h2", { id }, title),
        button("", { kind: "quiet", icon: "close", label: "Close", onClick: () => close(null) })),
      content)
    function ended() {
      element.remove()
      resolve(result)
    }
    replace(content, body(close))
    document.body.append(element)
    element.showModal()
  })
}

/** Close what is open: nobody is logged in any more. */
export function closeDialogs() {
  for (const one of document.querySelectorAll("dialog[open]")) one.close()
}

/** Ask before something is done; true where it is to be. */
export async function confirmed({ title, text, label = "Continue", danger = false }) {
  const said = await dialog({
    title,
    body: (close) => [
      h("p", {}, text),
      h("div", { class: "form-actions" },
        button(label, { kind: danger ? "danger" : "primary", onClick: () => close(true) }),
        button("Cancel", { onClick: () => close(null), autofocus: true })),
    ],
  })
  return said === true
}

let shelf = null

/** Say what has happened; what went wrong stays until it is closed. `action` is {label, run}. */
export function toast(kind, text, { action = null, seconds = 6 } = {}) {
  if (!shelf?.isConnected) {
    shelf = h("div", { class: "toasts", role: "region", "aria-label": "Messages", "aria-live": "polite" })
    document.body.append(shelf)
  }
  const remove = () => element.remove()
  const element = h("div", { class: `toast ${kind}` }, icon({ ok: "check", bad: "error", warn: "warning" }[kind] ?? "info"),
    h("p", {}, text),
    action && button(action.label, { kind: "quiet", onClick: () => { remove(); action.run() } }),
    button("", { kind: "quiet", icon: "close", label: "Dismiss", onClick: remove }))
  shelf.append(element)
  if (kind !== "bad") setTimeout(remove, seconds * 1000)
  return remove
}
