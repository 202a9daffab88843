// The tables: who asks for what, and how everything around the traffic is.

import { h, refresh } from "../../dom.js"
import { ago, bytes, dateOnly, dateTime, duration, integer, percent, rate, seconds } from "../../format.js"
import { icon } from "../../icons.js"
import { link } from "../../router.js"
import { table } from "../../table.js"
import { badge, card, empty, facts } from "../../ui.js"

const share = (part, whole) => (whole > 0 ? part / whole : 0)

/** Return {elements, update(overview)}; `choose(route)` shows the charts of one. */
export function cards(choose) {
  const routes = table({
    caption: "Routes by requests", none: "No requests yet", hint: "As soon as some come, the busiest routes stand here.",
    sort: { key: "rate", descending: true }, rows: [],
    columns: [
      { key: "route", label: "Route", header: true, value: (row) => row.route ?? "", render: (row) => row.route
        ? h("span", { class: "route-name" },
          h("button", { type: "button", class: "route-button", title: "Show in the charts", on: { click: () => choose(row.route) } }, row.route),
          h("a", { class: "open-link", href: link("/routes/:id", { id: row.route }), title: `Open the route ${row.route}`, "aria-label": `Open the route ${row.route}` }, icon("right"))) : h("span", { class: "muted" }, "no route matched") },
      { key: "rate", label: "Requests/s", numeric: true, render: (row) => rate(row.rate) },
      { key: "requests", label: "Requests", numeric: true, render: (row) => integer(row.requests) },
      { key: "server", label: "5xx", numeric: true, value: (row) => share(row.server, row.requests), render: (row) => failed(share(row.server, row.requests)) },
      { key: "client", label: "4xx", numeric: true, value: (row) => share(row.client, row.requests), render: (row) => percent(share(row.client, row.requests)) },
      { key: "limited", label: "429", numeric: true, render: (row) => integer(row.limited) },
      { key: "own95", label: "Own p95", numeric: true, value: (row) => row.own[1], render: (row) => seconds(row.own[1]) },
      { key: "own99", label: "Own p99", numeric: true, value: (row) => row.own[2], render: (row) => seconds(row.own[2]) },
      { key: "whole95", label: "Whole p95", numeric: true, value: (row) => row.whole[1], render: (row) => seconds(row.whole[1]) },
    ],
  })
  const consumers = table({
    caption: "Consumers by requests", none: "No consumers counted", rows: [],
    hint: "Consumers are told apart where the prometheus plugin runs with per_consumer.",
    sort: { key: "rate", descending: true },
    columns: [
      { key: "consumer", label: "Consumer", header: true },
      { key: "rate", label: "Requests/s", numeric: true, render: (row) => rate(row.rate) },
      { key: "requests", label: "Requests", numeric: true, render: (row) => integer(row.requests) },
      { key: "failed", label: "4xx and 5xx", numeric: true, value: (row) => share(row.failed, row.requests), render: (row) => percent(share(row.failed, row.requests)) },
    ],
  })
  const failures = table({
    caption: "Requests that could not be carried", none: "None", hint: "Every request reached its upstream and came back.", rows: [],
    sort: { key: "count", descending: true },
    columns: [
      { key: "kind", label: "What went wrong", header: true, render: (row) => row.kind.replaceAll("_", " ") },
      { key: "count", label: "Requests", numeric: true, render: (row) => integer(row.count) },
    ],
  })
  const upstreams = table({
    caption: "Targets of upstreams", none: "No targets", hint: "They stand here once a service leads somewhere.", rows: [],
    columns: [
      { key: "target", label: "Target", header: true },
      { key: "upstream", label: "Upstream", render: (row) => row.upstream
        ? h("a", { href: link("/upstreams/:id", { id: row.upstream }) }, row.upstream) : h("span", { class: "muted" }, "a service’s host") },
      { key: "address", label: "Address", render: (row) => h("span", { class: "mono" }, row.address) },
      { key: "health", label: "Health", render: health },
      { key: "requests_in_flight", label: "Under way", numeric: true, render: (row) => integer(row.requests_in_flight) },
      { key: "connections", label: "Connections", numeric: true, render: (row) => integer(row.connections) },
    ],
  })
  const workers = table({
    caption: "Workers", none: "No workers", rows: [],
    columns: [
      { key: "name", label: "Worker", header: true },
      { key: "state", label: "State", render: (row) => badge(row.state === "ready" ? "ok" : "warn", row.state) },
      { key: "cpu", label: "CPU", numeric: true, render: (row) => [bar(row.cpu), percent(row.cpu)] },
      { key: "memory", label: "Memory", numeric: true, render: (row) => bytes(row.memory) },
      { key: "lag", label: "Loop lag", numeric: true, render: (row) => (row.lag === null ? "–" : `≤ ${seconds(row.lag)}`) },
      { key: "connections", label: "Connections", numeric: true, render: (row) => integer(row.connections) },
      { key: "started_at", label: "Up", numeric: true, render: (row) => row.up },
      { key: "pid", label: "Process", numeric: true },
    ],
  })
  const restarts = h("p", { class: "table-more" })
  const config = h("div", {})
  const around = h("div", {})
  const circuits = h("div", {})

  return {
    elements: [
      card({ title: "Routes", subtitle: "The busiest in this range; choose one to see it in the charts", wide: true }, routes),
      card({ title: "Consumers", subtitle: "The busiest in this range" }, consumers),
      card({ title: "Failures", subtitle: "On the way to upstreams, in this range" }, failures),
      card({ title: "Upstreams", wide: true }, upstreams, circuits),
      card({ title: "Workers", subtitle: "CPU and lag of the last ten seconds", wide: true }, workers, restarts),
      card({ title: "Configuration" }, config),
      card({ title: "Stores and certificates" }, around),
    ],
    update(now) {
      routes.update(now.routes)
      consumers.update(now.consumers)
      failures.update(Object.entries(now.failures).map(([kind, count]) => ({ kind, count })))
      upstreams.update(now.upstreams)
      refresh(circuits, now.resilience.filter((one) => one.circuit !== null).length > 0 && facts(now.resilience.filter((one) => one.circuit !== null).map((one) =>
        [`Circuit of ${one.upstream}`, badge({ closed: "ok", open: "bad" }[one.circuit] ?? "warn", one.circuit)])))
      workers.update(now.workers.map((one) => ({ ...one, up: duration(now.at - one.started_at) })))
      const again = Object.entries(now.restarts).filter(([, count]) => count > 0)
      restarts.textContent = again.length ? `Started again: ${again.map(([reason, count]) => `${count} (${reason})`).join(", ")}` : ""
      refresh(config, configuration(now))
      refresh(around, surroundings(now))
    },
  }
}

function failed(part) {
  return part > 0.01 ? badge(part > 0.05 ? "bad" : "warn", percent(part)) : percent(part)
}

function health(row) {
  if (row.ejected) return badge("warn", "ejected for a while")
  const many = row.workers > 1 && row.healthy_in > 0 && row.healthy_in < row.workers ? ` in ${row.healthy_in} of ${row.workers} workers` : ""
  const [kind, text] = {
    HEALTHY: ["ok", "healthy"], UNHEALTHY: ["bad", "unhealthy"], DNS_ERROR: ["bad", "name not resolved"], HEALTHCHECKS_OFF: ["off", "not checked"],
  }[row.health] ?? ["info", row.health]
  return badge(many ? "warn" : kind, text + many)
}

function bar(part) {
  if (part === null) return null
  const inner = h("span", {})
  inner.style.width = `${Math.min(part * 100, 100)}%`
  return h("span", { class: `meter ${part > 0.9 ? "bad" : part > 0.7 ? "warn" : ""}`.trim(), "aria-hidden": "true" }, inner)
}

function configuration({ config, version, started_at: startedAt, at }) {
  return facts([
    ["Last reload", config.success ? badge("ok", `taken over ${ago(config.last_success, at)}`) : badge("bad", `refused ${ago(config.last_attempt, at)}`)],
    ["Taken over", h("span", {}, dateTime(config.last_success), `, number ${config.generation}`)],
    ["Hash", h("span", { class: "mono", title: config.digest }, config.digest.slice(0, 16))],
    ["proxyd", version],
    ["Up", duration(at - startedAt)],
  ])
}

function surroundings({ stores, certificates, at }) {
  if (!stores.length && !certificates.length) return empty("None", "Neither a Redis nor a database is used, nor a certificate.")
  return facts([
    ...stores.map((one) => [one.name, badge(one.up ? "ok" : "bad", one.up ? "answers" : "does not answer")]),
    ...certificates.slice(0, 8).map((one) => {
      const left = one.not_after - at
      return [one.name || one.certificate, h("span", {}, badge(left < 0 ? "bad" : left < 21 * 86400 ? "warn" : "ok", left < 0 ? "ended" : `ends ${ago(one.not_after, at)}`), ` ${dateOnly(one.not_after)}`)]
    }),
  ])
}
