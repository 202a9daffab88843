// A chart of lines over time: read by eye, by pointer, by finger, by keyboard (arrow keys), or as a table.

import { h, replace, svg, uid } from "../dom.js"
import { timeOfDay } from "../format.js"
import { timeTicks } from "./scale.js"

const MARGIN = { top: 12, right: 14, bottom: 26, left: 58 }
const ROWS = 60 // of the table, the newest ones

/**
 * Make a chart.
 *
 * `label` names it; `format(value)` writes values with their unit, `tick(value)` those at the axis; `scale` is one of scale.js.
 * `series` are {key, label, tone (1 to 5), dash, fill}; `marks` are lines across: {value, label, tone}.
 * The element has `.update({end, step, points, columns})`, where a column is an array of numbers and nulls, and `.reset()`, for figures
 * that have nothing to do with those before.
 */
export function lineChart({ label, format, tick = format, scale, series, marks = [], height = 220, note = null, none = "Nothing in this time" }) {
  const hidden = new Set()
  let data = null
  let width = 0
  let cursor = null // seconds since the epoch
  const drawing = svg("svg", { class: "drawing", height, "aria-hidden": "true", focusable: "false" })
  const tip = h("div", { class: "tip", hidden: true })
  const spoken = h("div", { class: "offscreen", role: "status", "aria-live": "polite" })
  const nothing = h("p", { class: "chart-empty" }, "Waiting for the first figures …")
  const help = uid("charthelp")
  const plot = h("div", {
    class: "plot", tabindex: "0", role: "group", "aria-roledescription": "chart", "aria-label": label, "aria-describedby": help,
    on: { pointermove: point, pointerdown: point, pointerleave: leave, keydown: key, blur: () => look(null) },
  }, drawing, nothing, tip)
  const values = new Map(series.map((one) => [one.key, h("span", { class: "legend-value" }, "–")]))
  const legend = h("div", { class: "legend" }, series.map((one) => h("button", {
    type: "button", class: `legend-item tone-${one.tone} ${one.dash ?? ""}`.trim(), "aria-pressed": "true",
    on: { click: (event) => toggle(one.key, event.currentTarget) },
  }, h("span", { class: "swatch", "aria-hidden": "true" }), one.label, " ", values.get(one.key))),
  marks.map((one) => h("span", { class: `legend-item mark tone-${one.tone}` }, h("span", { class: "swatch", "aria-hidden": "true" }), one.label)))
  const rows = h("div", { class: "chart-rows" })
  const details = h("details", { class: "chart-table", on: { toggle: tabulate } }, h("summary", {}, "Show as a table"), rows)
  const root = h("figure", { class: "chart" }, legend, plot,
    h("p", { id: help, class: "offscreen" }, "Arrow keys read out values along time; the same figures are in the table below."),
    spoken, h("div", { class: "chart-foot" }, note && h("figcaption", {}, note), details))

  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry.contentRect.width)
    if (now === width) return
    width = now
    draw()
  }).observe(plot)

  root.update = (given) => {
    data = given
    tellLast()
    draw()
    if (details.open) tabulate()
  }
  root.reset = () => scale.reset()
  return root

  // --- drawing ---

  function shown() {
    return series.filter((one) => !hidden.has(one.key) && data?.columns[one.key])
  }

  function x(at) {
    return MARGIN.left + (at / Math.max(data.points - 1, 1)) * (width - MARGIN.left - MARGIN.right)
  }

  function y(value) {
    return height - MARGIN.bottom - scale.at(value) * (height - MARGIN.top - MARGIN.bottom)
  }

  function draw() {
    drawing.setAttribute("width", width)
    const some = data && shown().some((one) => data.columns[one.key].some((value) => value !== null))
    nothing.hidden = Boolean(some)
    if (data) nothing.textContent = none
    if (!width) return
    if (data) for (const one of shown()) scale.fit(highest(data.columns[one.key]))
    replace(drawing, axis(), data && timeAxis(), data && marks.map(mark), data && shown().map(line), svg("g", { class: "cursor" }))
    if (cursor !== null) look(cursor)
  }

  function axis() {
    return scale.ticks().map((value) => {
      const at = Math.round(y(value)) + 0.5
      return [svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: at, y2: at }),
        svg("text", { class: "tick", x: MARGIN.left - 8, y: at + 4, "text-anchor": "end" }, tick(value))]
    })
  }

  function timeAxis() {
    const start = data.end - data.points * data.step
    return timeTicks(start, data.end, Math.max(2, Math.floor(width / 80))).map((time) => {
      const place = x((time - start) / data.step)
      if (place < MARGIN.left || place > width - MARGIN.right) return null
      const anchor = place > width - 24 ? "end" : place < MARGIN.left + 24 ? "start" : "middle"
      return [svg("line", { class: "grid upright", x1: place, x2: place, y1: MARGIN.top, y2: height - MARGIN.bottom }),
        svg("text", { class: "tick", x: place, y: height - 7, "text-anchor": anchor }, timeOfDay(time, false))]
    })
  }

  function mark(one) {
    if (scale.at(one.value) >= 1 && one.value > scale.max) return null
    const at = Math.round(y(one.value)) + 0.5
    return svg("line", { class: `mark tone-${one.tone}`, x1: MARGIN.left, x2: width - MARGIN.right, y1: at, y2: at })
  }

  function line(one) {
    const column = data.columns[one.key]
    let path = ""
    let area = ""
    let begun = -1
    column.forEach((value, at) => {
      if (value === null) {
        begun = -1
        return
      }
      const place = `${x(at).toFixed(1)} ${y(value).toFixed(1)}`
      path += begun < 0 ? `M${place}h0` : `L${place}`
      if (begun < 0) begun = at
      if (one.fill && (at === column.length - 1 || column[at + 1] === null)) area += under(column, begun, at)
    })
    return [area && svg("path", { class: `area tone-${one.tone}`, d: area }),
      svg("path", { class: `line tone-${one.tone} ${one.dash ?? ""}`.trim(), d: path })]
  }

  function under(column, from, to) {
    const base = (height - MARGIN.bottom).toFixed(1)
    let path = `M${x(from).toFixed(1)} ${base}`
    for (let at = from; at <= to; at += 1) path += `L${x(at).toFixed(1)} ${y(column[at]).toFixed(1)}`
    return `${path}L${x(to).toFixed(1)} ${base}Z`
  }

  // --- reading ---

  function time(at) {
    return data.end - (data.points - 1 - at) * data.step
  }

  function index(seconds) {
    return Math.round(data.points - 1 - (data.end - seconds) / data.step)
  }

  /** Show what was at a time, or nothing. */
  function look(seconds) {
    cursor = seconds
    const group = drawing.querySelector(".cursor")
    const at = seconds === null || !data ? -1 : index(seconds)
    if (!group || at < 0 || at >= data.points) {
      cursor = null
      tip.hidden = true
      if (group) replace(group)
      return null
    }
    const told = shown().map((one) => [one, data.columns[one.key][at] ?? null])
    const place = x(at)
    replace(group, svg("line", { class: "hair", x1: place, x2: place, y1: MARGIN.top, y2: height - MARGIN.bottom }),
      told.filter(([, value]) => value !== null).map(([one, value]) => svg("circle", { class: `dot tone-${one.tone}`, cx: place, cy: y(value), r: 3.5 })))
    replace(tip, h("strong", {}, timeOfDay(time(at))), told.map(([one, value]) => h("div", { class: `tip-row tone-${one.tone}` },
      h("span", { class: "swatch" }), h("span", {}, one.label), h("b", {}, value === null ? "no data" : format(value)))))
    tip.hidden = false
    const left = place + tip.offsetWidth + 14 > width ? place - tip.offsetWidth - 12 : place + 12
    tip.style.transform = `translate(${Math.max(0, Math.round(left))}px, ${MARGIN.top}px)`
    return `${timeOfDay(time(at))}: ${told.map(([one, value]) => `${one.label} ${value === null ? "no data" : format(value)}`).join(", ")}`
  }

  function point(event) {
    if (!data) return
    const box = plot.getBoundingClientRect()
    const share = (event.clientX - box.left - MARGIN.left) / (width - MARGIN.left - MARGIN.right)
    const at = Math.round(Math.min(Math.max(share, 0), 1) * (data.points - 1))
    look(time(at))
  }

  function leave(event) {
    if (event.pointerType !== "touch") look(null)
  }

  function key(event) {
    if (!data) return
    const last = data.points - 1
    const from = cursor === null ? last : index(cursor)
    const step = event.shiftKey ? 10 : 1
    const to = { ArrowLeft: cursor === null ? last : from - step, ArrowRight: from + step, Home: 0, End: last }[event.key]
    if (event.key === "Escape") look(null)
    if (to === undefined) return
    event.preventDefault()
    spoken.textContent = look(time(Math.min(Math.max(to, 0), last))) ?? ""
  }

  function toggle(name, pressed) {
    if (hidden.has(name)) hidden.delete(name)
    else hidden.add(name)
    pressed.setAttribute("aria-pressed", String(!hidden.has(name)))
    draw()
  }

  function tellLast() {
    for (const [name, element] of values) {
      const column = data.columns[name] ?? []
      const last = column.findLast((value) => value !== null)
      element.textContent = last === undefined ? "–" : format(last)
    }
  }

  function tabulate() {
    if (!details.open) return
    if (!data) {
      replace(rows, h("p", {}, "No figures yet."))
      return
    }
    const from = Math.max(0, data.points - ROWS)
    const order = Array.from({ length: data.points - from }, (_, at) => data.points - 1 - at)
    const kept = rows.querySelector(".table")?.scrollTop ?? 0
    replace(rows, h("div", { class: "table", role: "region", tabindex: "0", "aria-label": `${label}, as a table` },
      h("table", {}, h("caption", { class: "offscreen" }, label),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Time"), series.map((one) => h("th", { scope: "col", class: "numeric" }, one.label)))),
        h("tbody", {}, order.map((at) => h("tr", {}, h("th", { scope: "row" }, timeOfDay(time(at))),
          series.map((one) => h("td", { class: "numeric" }, data.columns[one.key]?.[at] == null ? "–" : format(data.columns[one.key][at])))))))))
    rows.querySelector(".table").scrollTop = kept
  }
}

function highest(column) {
  let found = 0
  for (const value of column) if (value !== null && value > found) found = value
  return found
}
