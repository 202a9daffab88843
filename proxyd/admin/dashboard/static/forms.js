// Fields of forms, each with its label, help and error, which a screen reader reads together.

import { h, replace, uid } from "./dom.js"
import { button } from "./ui.js"

/**
 * Make a field. `type` is an input's, or textarea, select or checkbox; `options` of a select are texts or [value, text].
 * The element has `.control`, `.value`, and `.fail(message)`, which takes nothing to be right again.
 */
export function field({ label, name, type = "text", value = "", help = null, options = [], onInput = null, ...more }) {
  const id = uid("field")
  const describe = `${id}h ${id}e`
  const shared = { id, name, "aria-describedby": describe, ...more, on: onInput ? { input: () => onInput(root) } : {} }
  let control
  if (type === "textarea") control = h("textarea", { rows: 4, ...shared, value })
  else if (type === "checkbox") control = h("input", { type, ...shared, checked: Boolean(value) })
  else if (type === "select") {
    control = h("select", shared, options.map((one) => (Array.isArray(one) ? one : [one, one])).map(([key, text]) => h("option", { value: key }, text)))
    control.value = value
  } else control = h("input", { type, ...shared, value })
  const error = h("p", { class: "field-error", id: `${id}e` })
  const told = h("p", { class: "field-help", id: `${id}h` }, help)
  const name_ = h("label", { for: id }, label, more.required && h("span", { class: "required", "aria-hidden": "true" }, " *"))
  const root = h("div", { class: `field ${type}` }, type === "checkbox" ? [control, name_] : [name_, control], told, error)
  root.control = control
  Object.defineProperty(root, "value", {
    get: () => (type === "checkbox" ? control.checked : control.value),
    set: (given) => { if (type === "checkbox") control.checked = given; else control.value = given },
  })
  root.fail = (message) => {
    replace(error, message ?? "")
    root.classList.toggle("failed", Boolean(message))
    if (message) control.setAttribute("aria-invalid", "true")
    else control.removeAttribute("aria-invalid")
  }
  return root
}

/**
 * Make a form of fields. `submit(values)` may raise an ApiError, whose fields are told at theirs, and the rest above.
 */
export function form({ fields, submit, label = "Save", kind = "primary", cancel = null }) {
  const problem = h("div", { class: "form-problem", role: "alert" })
  const send = button(label, { kind, type: "submit" })
  const root = h("form", { class: "form", novalidate: true, on: { submit: run } }, problem, fields,
    h("div", { class: "form-actions" }, send, cancel && button("Cancel", { onClick: cancel })))

  async function run(event) {
    event.preventDefault()
    replace(problem)
    for (const one of fields) one.fail?.(null)
    send.disabled = true
    try {
      await submit(Object.fromEntries(fields.filter((one) => one.control).map((one) => [one.control.name, one.value])))
    } catch (error) {
      const rest = tell(error, fields)
      if (rest) replace(problem, rest)
    } finally {
      send.disabled = false
    }
  }
  return root
}

/** Put an error's messages at the fields that they are of; returns what is of none. */
export function tell(error, fields) {
  let told = false
  for (const one of fields) {
    const found = one.control && error.fields?.[one.control.name]
    if (!found) continue
    one.fail(typeof found === "string" ? found : JSON.stringify(found))
    if (!told) one.control.focus()
    told = true
  }
  const entity = error.fields?.["@entity"]
  if (entity) return Array.isArray(entity) ? entity.join("; ") : String(entity)
  return told ? null : error.message
}

/** A field to filter by, which tells its text as it is typed. */
export function searchField(label, onInput, value = "") {
  const id = uid("search")
  return h("div", { class: "search" }, h("label", { for: id, class: "offscreen" }, label),
    h("input", { id, type: "search", placeholder: label, value, autocomplete: "off", spellcheck: "false",
      on: { input: (event) => onInput(event.target.value) } }))
}
