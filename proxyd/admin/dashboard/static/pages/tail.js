// Requests as they finish: filtered by the gateway, paused and resumed here, with secrets masked as in the access log.

import { api } from "../api.js"
import { dialog } from "../dialogs.js"
import { h, replace } from "../dom.js"
import { nameOf } from "../entities.js"
import { field } from "../forms.js"
import { seconds } from "../format.js"
import { icon } from "../icons.js"
import { setQuery } from "../router.js"
import { badge, button, card, empty, facts, notice, pageHeader } from "../ui.js"

const SHOWN = 200 // rows
const HELD = 1000 // lines, while it is paused
const AGAIN = 3000 // milliseconds to wait before a refused stream is tried again
const TYPING = 400 // milliseconds without a key after which a filter holds
const COLUMNS = ["Time", "Status", "Method", "Path", "Route", "Consumer", "Total", "Gateway", "Client"]

export async function mount(root, { query, signal }) {
  const state = { paused: false, live: false, held: [], dropped: 0, source: null, timer: null, seen: 0, leftOut: 0, before: 0, left: 0 }
  const filters = Object.fromEntries(["path", "route", "consumer", "status", "method", "slow"].map((name) => [name, query.get(name) ?? ""]))
  const pause = button("Pause", { kind: "primary", icon: "pause", onClick: () => toggle() })
  const clear = button("Clear", { onClick: () => { body.replaceChildren(); tell() } })
  root.append(pageHeader({ title: "Live tail", subtitle: "Requests of all workers as they finish. Secrets are masked as in the access log.", actions: [pause, clear] }))

  const problem = h("div", {})
  const count = h("p", { class: "tail-count" })
  const spoken = h("p", { class: "offscreen", role: "status" })
  const body = h("tbody", {})
  const region = h("div", { class: "table", role: "region", tabindex: "0", "aria-label": "Requests" },
    h("table", {}, h("caption", { class: "offscreen" }, "Requests, the latest first"),
      h("thead", {}, h("tr", {}, COLUMNS.map((text) => h("th", { scope: "col", class: ["Total", "Gateway"].includes(text) ? "numeric" : "" }, text)))), body))
  const nothing = h("div", {}, empty("No requests yet", "They stand here as soon as they finish."))

  let typing = null
  const changed = (name, delay) => (one) => {
    filters[name] = one.value.trim()
    clearTimeout(typing)
    typing = setTimeout(() => { setQuery(filters); body.replaceChildren(); open() }, delay)
  }
  const lists = { routes: h("datalist", { id: "tail-routes" }), consumers: h("datalist", { id: "tail-consumers" }) }
  root.append(
    h("div", { class: "toolbar tail-filters", role: "search" },
      field({ label: "Path has", name: "path", value: filters.path, onInput: changed("path", TYPING), autocomplete: "off" }),
      field({ label: "Route", name: "route", value: filters.route, list: "tail-routes", onInput: changed("route", TYPING), autocomplete: "off" }),
      field({ label: "Consumer", name: "consumer", value: filters.consumer, list: "tail-consumers", onInput: changed("consumer", TYPING), autocomplete: "off" }),
      field({ label: "Status", name: "status", type: "select", value: filters.status, options: [["", "any"], ["2xx", "2xx"], ["3xx", "3xx"], ["4xx", "4xx"], ["5xx", "5xx"]], onInput: changed("status", 0) }),
      field({ label: "Method", name: "method", type: "select", value: filters.method, options: [["", "any"], "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"], onInput: changed("method", 0) }),
      field({ label: "Slower than, ms", name: "slow", type: "number", min: "0", value: filters.slow, onInput: changed("slow", TYPING) })),
    lists.routes, lists.consumers, problem, spoken, card({ title: "Requests", actions: [count], className: "bare" }, region, nothing))
  for (const [collection, list] of Object.entries(lists)) {
    api.all(`/${collection}`, { limit: 1000, signal }).then((found) => list.append(...found.map((one) => h("option", { value: nameOf(one) })))).catch(() => {})
  }

  function open() {
    close()
    const url = new URL("dashboard/tail", document.baseURI)
    url.hash = ""
    for (const [name, value] of Object.entries(filters)) if (value) url.searchParams.set(name, value)
    Object.assign(state, { before: 0, left: 0, live: false })
    tell()
    const source = state.source = new EventSource(url)
    source.addEventListener("open", () => { state.before = state.left = 0; replace(problem) })
    source.addEventListener("requests", (event) => hear(JSON.parse(event.data)))
    source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) refused(url) })
  }

  /** The browser does not tell why a stream was refused: ask once more, for the answer's words. */
  async function refused(url) {
    const asking = new AbortController()
    let said = "The stream has ended."
    try {
      const response = await fetch(url, { signal: asking.signal, headers: { Accept: "application/json" } })
      if (response.status === 401) return void api.get("/plugins/enabled").catch(() => {})
      if (!response.ok) said = (await response.json()).message
    } catch { said = "The gateway does not answer." }
    asking.abort()
    if (signal.aborted) return
    replace(problem, notice("warn", said, "It is tried again in a moment."))
    state.timer = setTimeout(open, AGAIN)
  }

  function close() {
    clearTimeout(state.timer)
    state.source?.close()
    state.source = null
  }

  function hear({ seen, left_out: leftOut, requests }) {
    state.live = true
    state.seen += seen - state.before
    state.leftOut += leftOut - state.left
    state.before = seen
    state.left = leftOut
    if (state.paused) {
      state.held.push(...requests)
      while (state.held.length > HELD) { state.held.shift(); state.dropped += 1 }
    } else show(requests)
    tell()
  }

  function show(requests) {
    if (!requests.length) return
    const rows = requests.slice(-SHOWN).map(row).reverse()
    body.prepend(...rows)
    while (body.children.length > SHOWN) body.lastElementChild.remove()
  }

  function tell() {
    const held = state.paused ? ` · paused, ${state.held.length} held` : ""
    const waiting = state.live ? "" : " · connecting …"
    const left = state.leftOut + state.dropped
    count.textContent = `${state.seen.toLocaleString("en")} seen${left ? ` · ${left.toLocaleString("en")} left out` : ""}${held}${waiting}`
    nothing.hidden = body.children.length > 0
    region.hidden = body.children.length === 0
  }

  function toggle() {
    state.paused = !state.paused
    if (!state.paused) { show(state.held); state.held = [] }
    replace(pause, icon(state.paused ? "play" : "pause"), h("span", {}, state.paused ? "Resume" : "Pause"))
    spoken.textContent = state.paused ? "Paused" : "Goes on"
    tell()
  }

  tell()
  open()
  return () => { clearTimeout(typing); close() }
}

const kindOf = (status) => (status >= 500 ? "bad" : status >= 400 ? "warn" : status >= 200 && status < 400 ? "ok" : "off")

function row(one) {
  const cell = (value, className = "") => h("td", { class: className }, value ?? "–")
  const open = h("button", { type: "button", class: "link mono", title: "All of it", on: { click: () => details(one) } }, one.time.slice(11, 23))
  return h("tr", {}, h("th", { scope: "row" }, open),
    cell(badge(kindOf(one.status), String(one.status))), cell(one.method),
    cell(h("span", { class: "mono tail-path", title: one.path }, one.path, one.query && `?${one.query}`)),
    cell(one.route), cell(one.consumer), cell(seconds(one.total_ms / 1000), "numeric"), cell(seconds(one.gateway_ms / 1000), "numeric"), cell(one.client_ip, "mono"))
}

function details(one) {
  const text = (value) => (value === null ? null : typeof value === "object" ? JSON.stringify(value) : String(value))
  dialog({ title: `${one.method} ${one.path}`, wide: true, body: () => facts(Object.entries(one).map(([name, value]) => [name.replaceAll("_", " "), h("span", { class: "mono" }, text(value) ?? "–")])) })
}
