// Tables: a caption, columns that sort, and a region that scrolls by itself where the screen is narrow.

import { append, h, replace, uid } from "./dom.js"
import { icon } from "./icons.js"
import { button, empty } from "./ui.js"

/**
 * Make a table.
 *
 * `columns` are {key, label, render(row), value(row), numeric, sortable = true, header}: `render` makes what is shown,
 * `value` what is sorted by (the row's `key` for both by default); the one with `header` names the row.
 * `sort` is {key, descending}. Returns the element; `.update(rows)` shows others in the same order: rows of the same `key(row)`
 * stay where they are, and so does the focus in them. Of many rows, `limit` are shown; with `pages`, the others stand on
 * further pages: `.update(rows, page, onPage)`.
 */
export function table({ caption, columns, rows, key = null, sort = null, none = "Nothing here", hint = null, hideCaption = true, limit = 500, pages = false }) {
  let order = sort
  let present = rows
  let page = 1
  let turned = null
  const body = h("tbody", {})
  const more = h("div", { class: "table-more" })
  const heads = columns.map((column) => head(column))
  const captionId = uid("caption")
  const inner = h("table", {},
    h("caption", { id: captionId, class: hideCaption ? "offscreen" : "" }, caption),
    h("thead", {}, h("tr", {}, heads)), body)
  const region = h("div", { class: "table", role: "region", tabindex: "0", "aria-labelledby": captionId }, inner)
  const nothing = h("div", {})
  const header = columns.find((one) => one.header)?.key
  const keyOf = key ?? ((row) => row.id ?? row[header])
  let drawn = new Map()
  const root = h("div", { class: "table-box" }, region, nothing, more)

  function head(column) {
    const attributes = { scope: "col", class: column.numeric ? "numeric" : "" }
    if (column.sortable === false) return h("th", attributes, column.label)
    return h("th", attributes, h("button", { type: "button", class: "sorter", on: { click: () => by(column) } },
      column.label, icon("down", "sort-sign")))
  }

  function by(column) {
    const same = order?.key === column.key
    order = { key: column.key, descending: same ? !order.descending : Boolean(column.numeric) }
    draw()
  }

  function sorted() {
    const column = columns.find((one) => one.key === order?.key)
    if (!column) return present
    const value = (row) => (column.value ? column.value(row) : row[column.key])
    const sign = order.descending ? -1 : 1
    return [...present].sort((left, right) => sign * compare(value(left), value(right)))
  }

  function draw() {
    columns.forEach((column, at) => {
      const chosen = order?.key === column.key
      const state = chosen ? (order.descending ? "descending" : "ascending") : null
      if (state) heads[at].setAttribute("aria-sort", state)
      else heads[at].removeAttribute("aria-sort")
    })
    page = Math.max(1, Math.min(page, Math.ceil(present.length / limit)))
    const shown = sorted().slice((page - 1) * limit, page * limit)
    place(shown.map((row) => [keyOf(row), h("tr", {}, columns.map((column) => cell(column, row)))]))
    region.hidden = shown.length === 0
    replace(nothing, shown.length === 0 ? empty(none, hint) : null)
    if (pages) replace(more, present.length > limit && pager())
    else more.textContent = present.length > limit ? `The first ${limit} of ${present.length} are shown: filter for others.` : ""
  }

  function pager() {
    const first = (page - 1) * limit + 1
    const turn = (to) => {
      page = to
      draw()
      turned?.(page)
      region.focus({ preventScroll: true })
      region.scrollIntoView({ block: "nearest" })
    }
    return h("nav", { class: "pager", "aria-label": "Pages of the table" },
      button("Previous", { disabled: page === 1, onClick: () => turn(page - 1) }),
      h("span", {}, `${first} to ${Math.min(page * limit, present.length)} of ${present.length}`),
      button("Next", { disabled: page * limit >= present.length, onClick: () => turn(page + 1) }))
  }

  /** Put rows in; one that is there keeps its cells, unless they show something else now. */
  function place(made) {
    const free = new Map(drawn)
    const rows = made.map(([name, row]) => {
      const before = name === undefined ? null : free.get(name)
      if (!before || before.cells.length !== row.cells.length) return row
      free.delete(name)
      ;[...row.cells].forEach((one, at) => { if (!one.isEqualNode(before.cells[at])) before.cells[at].replaceWith(one) })
      return before
    })
    drawn = new Map(made.map(([name], at) => [name, rows[at]]))
    const same = rows.length === body.rows.length && rows.every((row, at) => row === body.rows[at])
    if (same) return
    const focused = body.contains(document.activeElement) ? document.activeElement : null
    body.replaceChildren()
    append(body, rows)
    if (focused?.isConnected) focused.focus({ preventScroll: true })
  }

  root.update = (others, at = page, onPage = turned) => {
    present = others
    page = at
    turned = onPage
    draw()
  }
  draw()
  return root
}

function cell(column, row) {
  const shown = column.render ? column.render(row) : row[column.key]
  const tag = column.header ? "th" : "td"
  return h(tag, { class: column.numeric ? "numeric" : "", scope: column.header ? "row" : null },
    shown === null || shown === undefined || shown === "" ? "–" : shown)
}

function compare(left, right) {
  if (left === null || left === undefined) return right === null || right === undefined ? 0 : -1
  if (right === null || right === undefined) return 1
  if (typeof left === "number" && typeof right === "number") return left - right
  return String(left).localeCompare(String(right), "en", { numeric: true })
}
