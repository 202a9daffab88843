// The charts: of all requests or of one route, and of the gateway's connections.

import { lineChart } from "../../charts/lines.js"
import { Linear, Logarithmic } from "../../charts/scale.js"
import { compact, integer, rate, seconds } from "../../format.js"
import { card, segmented } from "../../ui.js"
import { h, replace } from "../../dom.js"

const PERCENTILES = [["p50", 1, null], ["p95", 2, "dashed"], ["p99", 3, "dotted"]]

/** Return {elements, reset(), update(own, all, budget)}: `own` are the figures of the route that was chosen, `all` those of all. */
export function charts() {
  const requests = lineChart({
    label: "Requests per second", format: rate, tick: compact, scale: new Linear({ least: 5 }),
    series: [{ key: "requests", label: "Requests", tone: 1, fill: true }],
  })
  const errors = lineChart({
    label: "Errors per second", format: rate, tick: compact, scale: new Linear({ least: 1 }),
    series: [
      { key: "server_errors", label: "5xx", tone: 5 },
      { key: "limited", label: "429", tone: 3, dash: "dashed" },
      { key: "client_errors", label: "Other 4xx", tone: 2, dash: "dotted" },
    ],
  })
  const open = lineChart({
    label: "Connections", format: integer, tick: compact, scale: new Linear({ least: 5 }),
    series: [
      { key: "connections", label: "Connections", tone: 1 },
      { key: "websockets", label: "WebSockets", tone: 4, dash: "dashed" },
      { key: "in_flight", label: "Requests under way", tone: 3, dash: "dotted" },
    ],
  })
  const latency = h("div", {})
  let made = null
  let which = "own"
  let last = null

  function showLatency(budget) {
    const own = which === "own"
    made = lineChart({
      label: own ? "The gateway’s own latency" : "Latency as clients see it",
      format: seconds, tick: seconds, height: 260,
      scale: new Logarithmic(own ? { from: 0.0001, to: 0.1 } : { from: 0.001, to: 10 }),
      series: PERCENTILES.map(([name, tone, dash]) => ({ key: `${which}_${name}`, label: name, tone, dash })),
      marks: own ? [{ value: budget[0], label: `${seconds(budget[0])} budget`, tone: 4 }, { value: budget[1], label: `${seconds(budget[1])} budget`, tone: 5 }] : [],
      none: "No requests in this time",
      note: own ? "Without the time that upstreams took. The scale is logarithmic." : "With the upstream’s part. The scale is logarithmic.",
    })
    replace(latency, made)
    if (last) made.update(last)
  }

  const choice = segmented("Which latency", [["own", "Gateway’s own"], ["whole", "Whole request"]], which, (name) => {
    which = name
    showLatency(last?.budget ?? [0.02, 0.04])
  })
  return {
    elements: [
      card({ title: "Latency", subtitle: "Percentiles of all requests, worked out of their sums", actions: [choice], wide: true }, latency),
      card({ title: "Requests" }, requests),
      card({ title: "Errors", subtitle: "Answers by class" }, errors),
      card({ title: "Connections", subtitle: "The highest number in each step, of all routes", wide: true }, open),
    ],
    /** Other figures follow: of another route, or of another range. */
    reset() {
      for (const one of [requests, errors, open]) one.reset()
    },
    update(own, all, budget) {
      last = { ...own, budget: budget ?? own.budget }
      if (!made) showLatency(last.budget)
      else made.update(last)
      requests.update(own)
      errors.update(own)
      open.update(all)
    },
  }
}
