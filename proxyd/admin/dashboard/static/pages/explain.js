// Type a request, and see which route it would take, and why not another one.

import { api } from "../api.js"
import { chainView } from "../chain.js"
import { h, replace } from "../dom.js"
import { entityLink, nameOf } from "../entities.js"
import { field, form } from "../forms.js"
import { setQuery } from "../router.js"
import { table } from "../table.js"
import { badge, card, empty, facts, notice, pageHeader } from "../ui.js"

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
const OUTCOMES = { wins: "ok", loses: "info", refused: "warn", "no match": "off" }
const RULES = {
  kinds: "fewer kinds of conditions", plain_hosts: "wildcard or no host", headers: "fewer headers", regex: "prefix against regex",
  regex_priority: "regex priority", prefix_length: "shorter path", order: "later in the file", path: "other path of it",
}

export async function mount(root, { query, signal }) {
  root.append(pageHeader({ title: "Explain", subtitle: "Which route a request takes, why, and which plugins run on its way. Nothing is sent." }))
  const given = (name, otherwise = "") => query.get(name) ?? otherwise
  const consumers = field({ label: "As consumer", name: "consumer", type: "select", options: [["", "nobody in particular"]], value: "" })
  const fields = [
    field({ label: "Method", name: "method", value: given("method", "GET"), list: "methods", autocomplete: "off", spellcheck: "false" }),
    field({ label: "URL", name: "url", value: given("url", `http:${"//"}localhost/`), required: true, autocomplete: "off", spellcheck: "false",
      help: "As the client has it: http, https, ws, wss, grpc or grpcs; host, and path with query." }),
    field({ label: "Headers", name: "headers", type: "textarea", rows: 2, value: given("headers"), spellcheck: "false", placeholder: "X-Version: 2", help: "One a line." }),
    field({ label: "Server name (SNI)", name: "sni", value: given("sni"), autocomplete: "off", help: "Where it differs from the host." }),
    consumers,
  ]
  const outcome = h("div", { class: "stack", "aria-live": "polite" }, empty("No request yet", "Fill in the form, and press Explain."))

  async function submit(values) {
    const body = question(values)
    const told = await api.post("/dashboard/explain", body, { signal })
    setQuery(values)
    replace(outcome, answer(told))
  }
  const asking = form({ label: "Explain", fields, submit: async (values) => {
    try {
      await submit(values)
    } catch (error) {
      for (const name of ["host", "path", "protocol"]) if (error.fields?.[name]) error.fields.url ??= error.fields[name]
      throw error
    }
  } })
  asking.append(h("datalist", { id: "methods" }, METHODS.map((one) => h("option", { value: one }))))
  root.append(h("div", { class: "explain" }, card({ title: "Request" }, asking), outcome))
  const found = await api.all("/consumers", { limit: 1000, signal })
  consumers.control.append(...found.map((one) => h("option", { value: one.id }, nameOf(one))))
  consumers.control.value = found.some((one) => one.id === query.get("consumer")) ? query.get("consumer") : ""
  if (query.get("url")) asking.requestSubmit()
}

/** What the form says, as /dashboard/explain takes it. Raises what a form shows. */
function question({ method, url, headers, sni, consumer }) {
  const wrong = (fields) => Object.assign(new Error("This is no request"), { fields })
  const parts = /^(\w+):\/\/([^/?#]+)([^#]*)/.exec(url.trim())
  if (!parts) throw wrong({ url: "is no URL of a request: protocol, ://, host and path" })
  const lines = headers.split("\n").map((one) => one.trim()).filter(Boolean)
  const named = {}
  for (const line of lines) {
    const colon = line.indexOf(":")
    if (colon < 1) throw wrong({ headers: `"${line}" is no header: NAME: VALUE is` })
    ;(named[line.slice(0, colon).trim()] ??= []).push(line.slice(colon + 1).trim())
  }
  const path = parts[3].startsWith("/") ? parts[3] : `/${parts[3]}`
  return { method: method.trim() || "GET", protocol: parts[1].toLowerCase(), host: parts[2].split("@").pop(), path, headers: named, sni: sni.trim() || null, consumer: consumer || null }
}

function answer(told) {
  return [
    card({ title: told.route ? "This route wins" : "No route matches" }, told.route ? way(told) : notice("warn", "404", "no Route matched with those values. Those that come nearest stand first below.")),
    card({ title: "Why, route by route", subtitle: told.verdicts_left_out ? `${told.verdicts_left_out} more do not match` : null }, verdicts(told)),
    told.chain && card({ title: "Plugins on its way" }, chainView(told.chain)),
  ].filter(Boolean)
}

function way(told) {
  const mono = (text) => (text ? h("span", { class: "mono" }, text) : null)
  const captures = Object.entries(told.captures).filter(([name]) => !/^\d+$/.test(name) || Object.keys(told.captures).length < 6)
  return facts([
    ["route", entityLink("routes", told.route)],
    told.answer && ["answer", told.answer],
    ["service", told.service && entityLink("services", told.service)],
    ["matched path taken off", told.stripped ? mono(told.stripped) : "nothing"],
    captures.length > 0 && ["captures", captures.map(([name, text], at) => [at ? ", " : "", mono(`${name}=${text}`)])],
    told.upstream_url && ["upstream URL", mono(told.upstream_url)],
    told.targets.length > 0 && ["targets", told.targets.map((one, at) => [at ? h("br") : null, mono(one)])],
    ["read as", mono(`${told.request.method} ${told.request.scheme}://${told.request.host}${told.request.path}${told.request.query}`)],
  ])
}

function verdicts(told) {
  return table({
    caption: "Verdicts", rows: told.verdicts.map((one, order) => ({ ...one, order })), none: "There are no routes",
    columns: [
      { key: "name", label: "Route", header: true, value: (row) => row.route.name, render: (row) => entityLink("routes", row.route) },
      { key: "outcome", label: "Outcome", value: (row) => row.order, render: (row) => badge(OUTCOMES[row.outcome], row.outcome) },
      { key: "paths", label: "Paths", render: (row) => (row.paths ? h("span", { class: "mono" }, row.paths) : "any") },
      { key: "rule", label: "By which rule", value: (row) => row.lost_by ?? row.misfits.join(), render: (row) => (row.lost_by ? RULES[row.lost_by] : row.misfits.length ? `${row.misfits.join(", ")} ${row.misfits.length > 1 ? "do" : "does"} not fit` : null) },
      { key: "reason", label: "In words", sortable: false, render: (row) => h("span", { class: "words" }, row.reason) },
    ],
  })
}
