// How the gateway is: requests, errors, its own latency, and everything that is not as it should be.

import { api } from "../api.js"
import { h, refresh, replace } from "../dom.js"
import { live } from "../live.js"
import { setQuery } from "../router.js"
import { button, pageHeader, relabel, segmented } from "../ui.js"
import { alerts } from "./overview/alerts.js"
import { charts } from "./overview/charts.js"
import { cards } from "./overview/cards.js"
import { tiles } from "./overview/tiles.js"

const RANGES = [["5m", "5 min"], ["1h", "1 h"], ["24h", "24 h"]]
const EVERY = { "5m": 1, "1h": 5, "24h": 30 } // seconds
const STATES = { live: "Live", paused: "Paused", hidden: "Paused", failing: "No answer" }

export async function mount(root, { query, signal }) {
  let range = RANGES.some(([name]) => name === query.get("range")) ? query.get("range") : "5m"
  let route = query.get("route") ?? ""

  const state = h("span", { class: "live", role: "status" }, "Live")
  const pause = button("Pause", { icon: "pause", onClick: toggle })
  const routes = h("select", { "aria-label": "Route", on: { change: () => choose(routes.value) } })
  const warnings = h("div", { class: "alerts", role: "region", "aria-label": "What needs attention" })
  const figures = tiles()
  const drawn = charts()
  const told = cards(choose)
  const content = h("div", {}, warnings, figures.element,
    h("div", { class: "toolbar" }, segmented("Range", RANGES, range, (name) => { range = name; reset() }), routes),
    h("div", { class: "grid" }, drawn.elements, told.elements))
  root.append(pageHeader({ title: "Overview", actions: [state, pause] }), content)

  async function load() {
    const options = { signal }
    const [now, series] = await Promise.all([
      api.get("dashboard/overview", { ...options, query: { range } }),
      api.get("dashboard/series", { ...options, query: { range } }),
    ])
    const own = route ? await api.get("dashboard/series", { ...options, query: { range, route } }) : series
    offer(now.routes.map((one) => one.route ?? ""))
    refresh(warnings, alerts(now))
    figures.update(now, series)
    drawn.update(own, series, now.budget)
    told.update(now)
  }

  function onState(name, error) {
    state.className = `live live-${name}`
    const text = STATES[name] + (name === "failing" && error?.status ? ` (${error.status})` : "")
    if (state.textContent !== text) state.textContent = text
    content.classList.toggle("stale", name === "failing")
  }

  function toggle() {
    if (again.paused) again.resume()
    else again.pause()
    relabel(pause, again.paused ? "Resume" : "Pause", again.paused ? "play" : "pause")
  }

  function choose(name) {
    route = name
    reset()
    drawn.elements[0].scrollIntoView({ block: "nearest" })
  }

  function reset() {
    setQuery({ range: range === "5m" ? null : range, route: route || null })
    drawn.reset()
    again.every(EVERY[range])
    again.now()
  }

  /** Offer the busiest routes, and the chosen one in any case; nothing changes while it is open. */
  function offer(names) {
    const wanted = ["", ...new Set([...names.filter(Boolean), ...(route ? [route] : [])].sort())]
    const there = [...routes.options].map((one) => one.value)
    if (document.activeElement !== routes && JSON.stringify(wanted) !== JSON.stringify(there)) {
      replace(routes, wanted.map((name) => h("option", { value: name }, name || "All routes")))
    }
    routes.value = route
  }

  offer([])
  const again = live({ seconds: EVERY[range], load, signal, onState })
}
