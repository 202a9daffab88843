// What pages are put together of: headers, cards, buttons, badges, states, tabs. Tables are in table.js, forms in forms.js,
// dialogs and toasts in dialogs.js.

import { h, replace, uid } from "./dom.js"
import { icon } from "./icons.js"

/** A page's heading, which gets the focus when the page is opened, with what can be done beside it. */
export function pageHeader({ title, subtitle = null, actions = [], back = null }) {
  return h("header", { class: "page-header" },
    h("div", { class: "page-titles" },
      back && h("a", { class: "back", href: back.href }, back.label),
      h("h1", { tabindex: "-1" }, title),
      subtitle && h("p", { class: "subtitle" }, subtitle)),
    actions.length > 0 && h("div", { class: "actions" }, actions))
}

/** A box with a heading. `wide` takes the whole row of a grid. */
export function card({ title, subtitle = null, actions = [], wide = false, className = "" }, ...body) {
  const id = uid("card")
  return h("section", { class: `card ${wide ? "wide" : ""} ${className}`.trim(), "aria-labelledby": id },
    h("div", { class: "card-head" },
      h("div", {}, h("h2", { id }, title), subtitle && h("p", { class: "subtitle" }, subtitle)),
      actions.length > 0 && h("div", { class: "actions" }, actions)),
    h("div", { class: "card-body" }, body))
}

/** A button. `kind` is primary, danger, quiet or nothing; `label` is what a screen reader says where there is only an icon. */
export function button(text, { kind = "", icon: picture = null, onClick, label = null, disabled = false, type = "button", ...more } = {}) {
  return h("button", {
    class: `button ${kind} ${text ? "" : "bare"}`.trim().replace(/\s+/g, " "), type, disabled,
    "aria-label": label, title: text ? null : label, on: onClick ? { click: onClick } : {}, ...more,
  }, picture && icon(picture), text && h("span", {}, text))
}

/** Give a button that is there another text and icon. */
export function relabel(made, text, picture) {
  replace(made, icon(picture), h("span", {}, text))
}

/** A link that looks like a button. */
export function linkButton(text, href, { kind = "", icon: picture = null } = {}) {
  return h("a", { class: `button ${kind}`.trim(), href }, picture && icon(picture), h("span", {}, text))
}

const SIGNS = { ok: "check", warn: "warning", bad: "error", info: "info", off: null }

/** A short state: ok, warn, bad, info or off. It has a sign beside its colour. */
export function badge(kind, text, title = null) {
  return h("span", { class: `badge ${kind}`, title }, SIGNS[kind] && icon(SIGNS[kind]), text)
}

/** A note that stays on the page: info, ok, warn or bad. */
export function notice(kind, title, ...body) {
  return h("div", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : "note" },
    icon(SIGNS[kind] ?? "info"), h("div", {}, title && h("strong", {}, title), body))
}

/** What is shown while something is fetched. */
export function loading(text = "Loading") {
  return h("div", { class: "state", role: "status" }, h("span", { class: "spinner", "aria-hidden": "true" }), `${text} …`)
}

/** What is shown where there is nothing. */
export function empty(title, hint = null, ...actions) {
  return h("div", { class: "state" }, h("strong", {}, title), hint && h("p", {}, hint), actions)
}

/** What is shown where something failed; `retry` is what the button does. */
export function failure(error, retry = null) {
  return h("div", { class: "state bad", role: "alert" },
    icon("error"), h("strong", {}, error.message ?? String(error)),
    error.status === 0 && h("p", {}, "The admin listener cannot be reached. Is the gateway running?"),
    error.status === 403 && h("p", {}, "Your role does not allow this."),
    retry && button("Try again", { icon: "refresh", onClick: retry }))
}

/** Show in `root` what `load` makes, with states for waiting and failing; returns when it is there. */
export async function during(root, load) {
  replace(root, loading())
  try {
    replace(root, await load())
  } catch (error) {
    if (error.name === "AbortError") return
    replace(root, failure(error, () => during(root, load)))
  }
}

/** Names and values, side by side. Values may be nodes; pairs that are null are left out. */
export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value]) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, value === null || value === undefined || value === "" ? "–" : value))))
}

/** Tags, or a dash. */
export function tags(list) {
  return list?.length ? h("span", { class: "tags" }, list.map((one) => h("span", { class: "tag" }, one))) : "–"
}

/** Text that can be copied, such as a snippet of YAML. */
export function code(text, { label = "Code" } = {}) {
  const copy = button("Copy", { icon: "copy", kind: "quiet", onClick: () => copyText(text, copy) })
  return h("div", { class: "code" }, h("pre", { tabindex: "0", role: "region", "aria-label": label }, h("code", {}, text)), copy)
}

/** Copy a text, and say so in the button. */
export async function copyText(text, pressed = null) {
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    const area = h("textarea", { class: "offscreen", value: text })
    ;(pressed?.closest("dialog") ?? document.body).append(area)
    area.select()
    document.execCommand("copy")
    area.remove()
  }
  const said = pressed?.querySelector("span")
  if (!said) return
  const before = said.textContent
  said.textContent = "Copied"
  setTimeout(() => { said.textContent = before }, 1500)
}

/** A choice of few, as radio buttons in a row; `onChange` gets the value. */
export function segmented(label, options, value, onChange) {
  const name = uid("choice")
  return h("fieldset", { class: "segmented" }, h("legend", { class: "offscreen" }, label),
    options.map(([one, text]) => h("label", {},
      h("input", { type: "radio", name, value: one, checked: one === value, on: { change: () => onChange(one) } }),
      h("span", {}, text))))
}

/** Tabs: `panels` are {id, label, make}; each is made when it is first shown. Arrow keys move between them. */
export function tabs(label, panels, chosen = panels[0].id, onChange = () => {}) {
  const made = new Map()
  const body = h("div", { class: "tab-panel", role: "tabpanel", tabindex: "0", id: uid("panel") })
  const buttons = panels.map((one) => h("button", {
    type: "button", role: "tab", class: "tab", id: uid("tab"), "aria-controls": body.id,
    on: { click: () => show(one.id), keydown: move },
  }, one.label))
  function show(id, focus = false) {
    panels.forEach((one, at) => {
      const active = one.id === id
      buttons[at].setAttribute("aria-selected", String(active))
      buttons[at].tabIndex = active ? 0 : -1
      if (!active) return
      if (!made.has(id)) made.set(id, one.make())
      replace(body, made.get(id))
      body.setAttribute("aria-labelledby", buttons[at].id)
      if (focus) buttons[at].focus()
    })
    onChange(id)
  }
  function move(event) {
    const at = buttons.indexOf(event.currentTarget)
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key]
    if (to === undefined) return
    event.preventDefault()
    show(panels[(to + panels.length) % panels.length].id, true)
  }
  show(panels.some((one) => one.id === chosen) ? chosen : panels[0].id)
  return h("div", { class: "tabs" }, h("div", { role: "tablist", "aria-label": label, class: "tab-list" }, buttons), body)
}
