// The difference between two texts, line by line, told by signs and words as well as by colours.

import { h } from "./dom.js"
import { notice } from "./ui.js"

/** Show lines as `difference` of yaml.js gives them. */
export function diffView(lines) {
  if (!lines.some(([sign]) => sign !== " ")) return notice("info", "No difference", "What the file would say is the same.")
  const words = { "+": "added", "-": "removed" }
  return h("div", { class: "diff", role: "region", tabindex: "0", "aria-label": "Difference" }, lines.filter(([, text]) => text !== "").map(([sign, text]) =>
    h("div", { class: `diff-line ${words[sign] ?? ""}` }, h("span", { class: "diff-sign", "aria-hidden": "true" }, sign), words[sign] && h("span", { class: "offscreen" }, `${words[sign]}: `), h("code", {}, text))))
}
