// The figures at the top: of the last ten seconds, with how they moved.

import { spark } from "../../charts/spark.js"
import { h } from "../../dom.js"
import { compact, integer, percent, rate, seconds } from "../../format.js"

const RECENT = 60 // places of a line

/** Return {element, update(overview, series)}. */
export function tiles() {
  const all = [
    tile("Requests", 1, ({ now }) => [rate(now?.requests), "", "in the last 10 s"], (columns) => columns.requests),
    tile("Failed (5xx)", 5, ({ now }) => {
      const share = now && now.requests > 0 ? now.server_errors / now.requests : now ? 0 : null
      return [percent(share), share > 0.05 ? "bad" : share > 0.01 ? "warn" : "", `${rate(now?.server_errors)}, 4xx ${rate(now?.client_errors)}`]
    }, (columns) => columns.server_errors),
    tile("Own latency, p99", 2, ({ now, budget }) => {
      const value = now?.own_p99
      const grade = !budget || value == null ? "" : value > budget[1] ? "bad" : value > budget[0] ? "warn" : ""
      return [seconds(value), grade, budget ? `budget ${budget[0] * 1000} to ${seconds(budget[1])}` : ""]
    }, (columns) => columns.own_p99),
    tile("Over limits (429)", 3, ({ now, limited }) => [rate(now?.limited), "", `${compact(limited)} in this range`], (columns) => columns.limited),
    tile("Open WebSockets", 4, ({ connections }) => [integer(connections.tunnels), "",
      `${integer(connections.open)} connection${connections.open === 1 ? "" : "s"}`], (columns) => columns.websockets),
  ]
  return {
    element: h("dl", { class: "tiles" }, all.map((one) => one.element)),
    update(overview, series) {
      for (const one of all) one.update(overview, series)
    },
  }
}

function tile(name, tone, tell, pick) {
  const figure = h("span", { class: "figure" }, "–")
  const beside = h("dd", { class: "beside" })
  const line = spark(tone)
  return {
    element: h("div", { class: "tile" }, h("dt", {}, name), h("dd", {}, figure, line), beside),
    update(overview, series) {
      const [text, grade, more] = tell(overview)
      figure.textContent = text
      figure.className = `figure ${grade}`.trim()
      beside.textContent = more
      line.update(pick(series.columns).slice(-RECENT))
    },
  }
}
