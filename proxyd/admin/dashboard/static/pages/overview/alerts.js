// What is not as it should be, the worst first: why, and since when.

import { h } from "../../dom.js"
import { dateTime, integer } from "../../format.js"
import { notice } from "../../ui.js"

const SOON = 21 * 86400 // seconds before a certificate ends
const SENT_TO = new Set(["HEALTHY", "HEALTHCHECKS_OFF"])

/** Return notices about an overview; none where all is well. */
export function alerts(now) {
  return [reload(now), ...upstreams(now), ...circuits(now), ...stores(now), overload(now), ...certificates(now), workers(now)].filter(Boolean)
}

function reload({ config }) {
  if (config.success || !config.problems.length) return null
  return notice("bad", "The last configuration was refused", h("p", {},
    `Tried at ${dateTime(config.last_attempt)}; the one before goes on running. What is wrong:`),
  h("ul", { class: "problems" }, config.problems.map((problem) => h("li", {}, problem))))
}

function upstreams({ upstreams: targets }) {
  const groups = new Map()
  for (const one of targets) {
    const name = one.upstream ?? one.target
    if (!groups.has(name)) groups.set(name, [])
    groups.get(name).push(one)
  }
  return [...groups].map(([name, all]) => {
    const away = all.filter((one) => !SENT_TO.has(one.health) || one.ejected)
    if (!away.length) return null
    const list = away.map((one) => one.target).join(", ")
    if (away.length === all.length) return notice("bad", `Upstream ${name} gets no requests`, h("p", {}, `None of its targets is healthy: ${list}`))
    return notice("warn", `Upstream ${name}: ${away.length} of ${all.length} targets get no requests`, h("p", {}, list))
  })
}

function circuits({ resilience }) {
  return resilience.filter((one) => one.circuit && one.circuit !== "closed").map((one) =>
    notice(one.circuit === "open" ? "bad" : "warn", `The circuit of ${one.upstream} is ${one.circuit}`,
      h("p", {}, one.circuit === "open" ? "Requests are answered 503 without asking it, until it is tried again." : "A few requests try whether it is well again.")))
}

function stores({ stores: all }) {
  return all.filter((one) => !one.up).map((one) => notice("warn", `${one.kind === "redis" ? "Redis" : "The database"} does not answer: ${one.name}`,
    h("p", {}, one.kind === "redis" ? "Limits are counted nearer by meanwhile." : "Traffic runs on the last configuration; nothing can be changed.",
      one.since ? ` Since ${dateTime(one.since)}.` : "", one.error ? ` ${one.error}` : "")))
}

function overload({ overload: state }) {
  if (!state?.shedding) return null
  return notice("warn", "Requests are shed", h("p", {}, "More come than can be answered in time; those of low priority are refused."))
}

function certificates({ certificates: all, at }) {
  return all.filter((one) => one.not_after - at < SOON).map((one) => notice(one.not_after <= at ? "bad" : "warn",
    `The certificate of ${one.name || one.certificate} ${one.not_after <= at ? "has ended" : `ends on ${dateTime(one.not_after)}`}`, h("p", {}, one.certificate)))
}

function workers({ workers: all }) {
  const absent = all.filter((one) => one.state !== "ready")
  if (!absent.length) return null
  return notice("info", `${integer(absent.length)} of ${integer(all.length)} workers ${absent.length === 1 ? "is" : "are"} not ready`,
    h("p", {}, absent.map((one) => `worker ${one.name}: ${one.state}`).join(", ")))
}
