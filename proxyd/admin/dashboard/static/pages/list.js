// A list of entities: searched, filtered by tag and by what they belong to, a page at a time.

import { api } from "../api.js"
import { h, replace } from "../dom.js"
import { COLLECTIONS, canWrite, columnsOf, editLink, fetchKnown, nameOf } from "../entities.js"
import { field, searchField } from "../forms.js"
import { setQuery } from "../router.js"
import { table } from "../table.js"
import { button, card, linkButton, pageHeader } from "../ui.js"

const PAGE = 50 // rows

export async function mount(root, { path, query, signal }) {
  const collection = path.split("/")[1]
  const kind = COLLECTIONS[collection]
  const [rows, known, writable] = await Promise.all([
    api.all(`/${collection}`, { signal }), fetchKnown(kind.needs, signal), canWrite(),
  ])
  const state = {
    q: query.get("q") ?? "", tag: query.get("tag") ?? "", of: query.get("of") ?? "", page: Number(query.get("page")) || 1,
  }
  const others = collection === "certificates" ? ["snis", "ca_certificates"] : []
  root.append(pageHeader({
    title: kind.title,
    subtitle: rows.length === 1 ? `1 ${kind.noun}` : `${rows.length} of them`,
    actions: [
      ...others.map((one) => linkButton(COLLECTIONS[one].title, `#/${one}`)),
      linkButton(writable ? `New ${kind.noun}` : "New, as YAML", editLink(collection), { kind: "primary", icon: "plus" }),
    ],
  }))

  const list = table({
    caption: kind.title, columns: columnsOf(collection, known), rows: [], limit: PAGE,
    sort: collection === "routes" ? null : { key: "name", descending: false },
    none: rows.length ? "Nothing fits" : `There are no ${kind.title.toLowerCase()}`,
    hint: rows.length ? "Search for something else, or take a filter away." : null, pages: true,
  })
  const text = new Map(rows.map((row) => [row, searchable(row, known)]))

  const change = (values) => {
    Object.assign(state, { page: 1 }, values)
    setQuery({ q: state.q, tag: state.tag, of: state.of, page: state.page > 1 ? state.page : "" })
    draw()
  }
  function draw() {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean)
    list.update(rows.filter((row) =>
      words.every((word) => text.get(row).includes(word))
      && (!state.tag || row.tags?.includes(state.tag))
      && (!state.of || belongs(collection, row, state.of))), state.page, (page) => change({ page }))
  }

  root.append(h("div", { class: "toolbar", role: "search" },
    searchField(`Search ${kind.title.toLowerCase()}`, (q) => change({ q }), state.q),
    chooser("Tag", tagsOf(rows), state.tag, (tag) => change({ tag })),
    chooser(...belonging(collection, rows, known), state.of, (of) => change({ of }))),
  card({ title: kind.title, className: "bare" }, list))
  draw()
}

/** What is searched in a row: its own texts, and the names of what it refers to. */
function searchable(row, known) {
  const referred = ["service", "route", "consumer"].map((name) => row[name] && nameOf(known[`${name}s`]?.get(row[name].id) ?? row[name]))
  const { config, created_at, updated_at, cert, ...own } = row
  return JSON.stringify([own, referred]).toLowerCase()
}

const tagsOf = (rows) => [...new Set(rows.flatMap((row) => row.tags ?? []))].sort().map((tag) => [tag, tag])

function belonging(collection, rows, known) {
  if (collection === "routes") {
    const used = new Set(rows.map((row) => row.service?.id))
    const options = [...(known.services?.values() ?? [])].filter((one) => used.has(one.id)).map((one) => [one.id, nameOf(one)])
    return ["Service", used.has(undefined) ? [...options, ["none", "none"]] : options]
  }
  if (collection === "plugins") return ["Plugin", [...new Set(rows.map((row) => row.name))].sort().map((name) => [name, name])]
  if (collection === "services") return ["State", rows.some((row) => !row.enabled) ? [["on", "on"], ["off", "off"]] : []]
  return ["", []]
}

function belongs(collection, row, of) {
  if (collection === "routes") return of === "none" ? !row.service : row.service?.id === of
  if (collection === "plugins") return row.name === of
  return of === (row.enabled ? "on" : "off")
}

function chooser(label, options, value, onChange) {
  if (!options.length) return null
  const made = field({ label, type: "select", options: [["", `Any ${label.toLowerCase()}`], ...options], value, onInput: (one) => onChange(one.value) })
  made.classList.add("inline")
  return made
}
