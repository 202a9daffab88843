// Who did what over the Admin API, the newest first, with what changed, and undone where that can be.

import { api, may } from "../api.js"
import { confirmed, dialog, toast } from "../dialogs.js"
import { diffView } from "../diff.js"
import { h, replace } from "../dom.js"
import { COLLECTIONS, canWrite, modelName, nameOf, pathOf } from "../entities.js"
import { field } from "../forms.js"
import { dateTime } from "../format.js"
import { link, setQuery } from "../router.js"
import { table } from "../table.js"
import { badge, button, card, empty, linkButton, pageHeader } from "../ui.js"
import { undo } from "../undo.js"
import { difference, yaml } from "../yaml.js"

const SIZE = 50 // entries in a page
const KINDS = { create: "ok", update: "info", delete: "warn", login_failed: "bad" }

export async function mount(root, { query, signal }) {
  if (!may("operator")) {
    root.append(pageHeader({ title: "Audit" }), empty("You may not read this", "The audit log is for operators and admins."))
    return
  }
  const writable = await canWrite()
  const filters = Object.fromEntries(["collection", "entity", "who"].map((name) => [name, query.get(name) ?? ""]))
  let rows = []
  let offset = null
  root.append(pageHeader({
    title: "Audit", subtitle: "What was done over the Admin API, and by whom. Secrets are masked.",
    actions: [linkButton("All, as JSON lines", "audit?format=jsonl", { icon: "copy" })],
  }))
  const list = table({
    caption: "Audit log", rows: [], limit: 100000, none: "Nothing was done", hint: "Writes, reloads and logins are told here.",
    columns: [
      { key: "time", label: "When", sortable: false, header: true, render: (row) => h("time", { datetime: row.time, class: "nowrap" }, dateTime(Date.parse(row.time) / 1000)) },
      { key: "who", label: "Who", sortable: false, render: (row) => [row.who || "nobody", row.role && row.role !== row.who && h("span", { class: "muted" }, ` ${row.role}`), row.address && h("div", { class: "muted" }, row.address)] },
      { key: "action", label: "Did", sortable: false, render: (row) => badge(KINDS[row.action] ?? "off", row.action.replaceAll("_", " ")) },
      { key: "entity", label: "To what", sortable: false, render: what },
      { key: "changed", label: "Changed", sortable: false, render: changed },
      { key: "more", label: "More", sortable: false, render: (row) => h("span", { class: "actions nowrap" },
        (row.before || row.after) && button("Show", { kind: "quiet", "aria-label": `Show what ${row.action} changed`, onClick: () => show(row) }),
        writable && undoable(row) && button("Undo", { kind: "quiet", icon: "undo", onClick: () => takeBack(row, again) })) },
    ],
  })
  const more = h("div", { class: "form-actions" })
  async function fetchMore() {
    const page = await api.get("/audit", { query: { ...filters, size: SIZE, offset }, signal })
    rows.push(...page.data)
    offset = page.offset ?? null
    list.update(rows)
    replace(more, offset && button("Older ones", { onClick: fetchMore }))
  }
  async function again() {
    rows = []
    offset = null
    await fetchMore()
  }
  const changedFilter = (name) => (one) => { filters[name] = one.value.trim(); setQuery(filters); again().catch((error) => toast("bad", error.message)) }
  const collections = field({ label: "Collection", type: "select", value: filters.collection, options: [["", "Any"], ...Object.keys(COLLECTIONS).map((path) => [modelName(path), COLLECTIONS[path].title])], onInput: changedFilter("collection") })
  const who = field({ label: "Who", value: filters.who, onInput: changedFilter("who"), autocomplete: "off" })
  for (const one of [collections, who]) one.classList.add("inline")
  root.append(h("div", { class: "toolbar", role: "search" }, collections, who), card({ title: "Audit log", className: "bare" }, list, more))
  await again()
}

function what(row) {
  if (!row.collection) return null
  const path = pathOf(row.collection)
  const kind = COLLECTIONS[path]
  const entity = row.after ?? row.before
  const name = entity ? nameOf({ ...entity, id: row.entity ?? "" }) : row.entity?.slice(0, 8)
  return [kind?.noun ?? row.collection, " ", kind?.icon && row.after ? h("a", { href: link(`/${path}/:id`, { id: row.entity }) }, name) : name]
}

function changed(row) {
  if (!row.before || !row.after) return null
  const names = [...new Set([...Object.keys(row.before), ...Object.keys(row.after)])]
    .filter((name) => !["updated_at", "created_at"].includes(name) && JSON.stringify(row.before[name] ?? null) !== JSON.stringify(row.after[name] ?? null))
  return h("span", { class: "mono" }, names.join(", "))
}

const text = (one) => {
  const { created_at, updated_at, ...rest } = one ?? {}
  return one ? yaml(Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null))) : ""
}

function show(row) {
  dialog({ title: `What ${row.who || "nobody"} changed`, wide: true, body: () => [
    h("p", { class: "muted" }, `${row.time}${row.request_id ? ` · request ${row.request_id}` : ""}${row.revision ? ` · revision ${row.revision}` : ""}`),
    diffView(difference(text(row.before), text(row.after)))] })
}

const undoable = (row) => /^\d+$/.test(row.id) && row.collection && (row.before || row.after)

async function takeBack(row, again) {
  const sure = await confirmed({ title: "Undo this?", label: "Undo", text: row.before ? "It is put back as it was before." : "What was made then is deleted." })
  if (!sure) return
  try {
    await undo(row.id)
    await again()
  } catch (error) { toast("bad", error.message) }
}
