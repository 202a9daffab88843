// A small line without axes, beside a number that says what it is.

import { replace, svg } from "../dom.js"

const WIDTH = 120
const HEIGHT = 32

/** Return an element with `.update(column)`; gaps stay gaps. */
export function spark(tone = 1) {
  const root = svg("svg", { class: `spark tone-${tone}`, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" })
  root.update = (column) => {
    const max = Math.max(...column.filter((value) => value !== null), 0) || 1
    let path = ""
    let pen = "M"
    column.forEach((value, at) => {
      if (value === null) {
        pen = "M"
        return
      }
      const x = (at / Math.max(column.length - 1, 1)) * WIDTH
      path += `${pen}${x.toFixed(1)} ${(HEIGHT - 2 - (value / max) * (HEIGHT - 4)).toFixed(1)}`
      pen = "L"
    })
    replace(root, path && svg("path", { class: `line tone-${tone}`, d: path, "vector-effect": "non-scaling-stroke" }))
  }
  return root
}
