// The plugins that run on a route, in their order, each with where it comes from and what gives way to it.

import { h } from "./dom.js"
import { entityLink } from "./entities.js"
import { badge, empty } from "./ui.js"
import { yaml } from "./yaml.js"

/** Show a chain as /dashboard/chain tells it. */
export function chainView(chain) {
  if (!chain.plugins.length && !chain.switched_off.length) return empty("No plugin runs here")
  return h("div", { class: "stack" },
    h("ol", { class: "chain" }, chain.plugins.map(item)),
    chain.switched_off.length > 0 && h("p", { class: "muted" }, "Switched off: ",
      chain.switched_off.map((one, at) => [at ? ", " : "", entityLink("plugins", one), ` (${one.why})`])))
}

function item(one) {
  const { runs } = one
  return h("li", { class: runs ? "" : "idle" },
    h("div", { class: "chain-head" },
      runs ? entityLink("plugins", { ...runs, name: one.name }) : h("strong", {}, one.name),
      runs?.instance_name && h("span", { class: "muted" }, runs.instance_name),
      runs ? badge(runs.scope === "global" ? "off" : "info", `from ${runs.scope}`) : badge("off", "does not run"),
      h("span", { class: "muted chain-priority" }, `priority ${one.priority}`)),
    runs && Object.keys(runs.of).length > 0 && h("p", { class: "chain-from" }, "Of ",
      Object.entries(runs.of).map(([kind, owner], at) => [at ? " and " : "", `${kind} `, entityLink(`${kind}s`, owner)]),
      runs.place && h("span", { class: "muted" }, ` · ${runs.place}`)),
    h("p", { class: "chain-phases" }, h("span", { class: "offscreen" }, "Phases: "), one.phases.map((phase) => h("span", { class: "tag mono" }, phase))),
    one.others.length > 0 && h("ul", { class: "chain-others" }, one.others.map((other) => h("li", {},
      entityLink("plugins", { ...other, name: other.instance_name ?? `${one.name} (${other.scope})` }), `: ${other.why}`))),
    runs && Object.keys(runs.config ?? {}).length > 0 && h("details", {}, h("summary", {}, "Configuration"),
      h("pre", { class: "mono", tabindex: "0" }, yaml(runs.config))))
}
