// API keys: issued and shown once, rotated, revoked.

import { api } from "../api.js"
import { confirmed, dialog, toast } from "../dialogs.js"
import { h, replace } from "../dom.js"
import { canWrite, entityLink, hasDatabase, nameOf } from "../entities.js"
import { field, form, searchField } from "../forms.js"
import { ago, dateTime } from "../format.js"
import { setQuery } from "../router.js"
import { table } from "../table.js"
import { badge, button, card, copyText, facts, notice, pageHeader, tags } from "../ui.js"

const LIVES = [["", "never"], ["30d", "in 30 days"], ["90d", "in 90 days"], ["365d", "in a year"], ["at", "at a date …"]]
const OVERLAPS = [["0s", "nothing: the old one ends now"], ["1h", "an hour"], ["1d", "a day"], ["7d", "a week"], ["30d", "30 days"]]
const KINDS = { issued: "issued", hashed: "hash in a file", plain: "plain, in a file" }

export async function mount(root, { query, signal }) {
  const [stored, writable] = await Promise.all([hasDatabase(), canWrite()])
  let rows = await api.all("/keys", { signal })
  const state = { q: query.get("q") ?? "", state: query.get("state") ?? "" }
  const again = async () => { rows = await api.all("/keys", { signal }); draw() }
  const subtitle = h("span", {})

  root.append(pageHeader({
    title: "Keys", subtitle,
    actions: writable ? [button("Issue a key", { kind: "primary", icon: "plus", onClick: () => issue(again, signal) })] : [],
  }))
  if (!stored) root.append(notice("info", "There is no database", "Keys stand in the declarative file: ", h("code", {}, "proxyd keys create"), " makes one for it, as a hash."))

  const list = table({
    caption: "Keys", rows: [], limit: 50, pages: true, sort: { key: "name", descending: false }, none: "No keys", hint: writable ? "Issue one for a consumer." : null,
    columns: [
      { key: "name", label: "Name", header: true, value: called, render: (row) => called(row) },
      { key: "key_id", label: "Key", render: (row) => row.key_id && h("span", { class: "mono" }, row.key_id) },
      { key: "consumer", label: "Consumer", value: (row) => row.consumer.username, render: (row) => entityLink("consumers", { ...row.consumer, username: row.consumer.username ?? undefined }) },
      { key: "scopes", label: "Scopes", value: (row) => row.scopes.join(), render: (row) => (row.scopes.length ? tags(row.scopes) : null) },
      { key: "state", label: "State", render: (row) => badge(row.state === "active" ? "ok" : "off", row.state) },
      { key: "expires_at", label: "Expires", render: (row) => (row.expires_at ? h("span", { title: dateTime(row.expires_at) }, ago(row.expires_at)) : "never") },
      { key: "last_used_at", label: "Last used", render: (row) => (row.last_used_at ? h("span", { title: dateTime(row.last_used_at) }, ago(row.last_used_at)) : null) },
      { key: "kind", label: "Kind", render: (row) => KINDS[row.kind] },
      writable && { key: "actions", label: "Change", sortable: false, render: (row) => h("span", { class: "actions nowrap" },
        row.kind !== "plain" && button("", { kind: "quiet", icon: "refresh", label: `Rotate ${called(row)}`, onClick: () => rotate(row, again) }),
        button("", { kind: "quiet", icon: "trash", label: `Revoke ${called(row)}`, onClick: () => revoke(row, again) })) },
    ].filter(Boolean),
  })
  function draw() {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean)
    const text = (row) => [row.name, row.key_id, row.consumer.username, ...row.scopes, ...(row.tags ?? [])].join(" ").toLowerCase()
    list.update(rows.filter((row) => (!state.state || row.state === state.state) && words.every((word) => text(row).includes(word))))
    replace(subtitle, rows.length === 1 ? "1 key" : `${rows.length} keys`, ". A key is shown when it is made, and never again.")
  }
  const change = (values) => { Object.assign(state, values); setQuery(state); draw() }
  const states = field({ label: "State", type: "select", options: [["", "Any state"], "active", "expired"], value: state.state, onInput: (one) => change({ state: one.value }) })
  states.classList.add("inline")
  root.append(h("div", { class: "toolbar", role: "search" }, searchField("Search keys", (q) => change({ q }), state.q), states),
    card({ title: "Keys", className: "bare" }, list))
  draw()
}

const called = (row) => row.name ?? row.key_id ?? row.id.slice(0, 8)

async function issue(again, signal) {
  const consumers = await api.all("/consumers", { signal })
  const fields = [
    field({ label: "Consumer", name: "consumer", type: "select", required: true, options: [["", "Choose one"], ...consumers.map((one) => [one.id, nameOf(one)])] }),
    field({ label: "Name", name: "name", help: "What it is for, for whoever reads this list.", autocomplete: "off" }),
    field({ label: "Scopes", name: "scopes", help: "What it is good for, with spaces between, where key-auth asks for scopes.", autocomplete: "off", spellcheck: "false" }),
    field({ label: "Expires", name: "expires_in", type: "select", options: LIVES, value: "90d", onInput: (one) => { fields[4].hidden = one.value !== "at" } }),
    field({ label: "Expires at", name: "expires_at", type: "date" }),
  ]
  fields[4].hidden = true
  const made = await dialog({
    title: "Issue a key",
    body: (close) => form({
      label: "Issue", cancel: () => close(null), fields,
      submit: async ({ consumer, name, scopes, expires_in: life, expires_at: date }) => {
        const body = { consumer, name: name.trim() || null, scopes: scopes.split(/[\s,]+/).filter(Boolean) }
        if (life === "at") body.expires_at = date
        else if (life) body.expires_in = life
        close(await api.post("/keys", Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))))
      },
    }),
  })
  if (made) await shown(made, "The key", again)
}

async function rotate(row, again) {
  const overlap = field({ label: "The old key goes on for", name: "overlap", type: "select", options: OVERLAPS, value: "1d" })
  const made = await dialog({
    title: `Rotate ${called(row)}`,
    body: (close) => [
      h("p", {}, "A new key takes its place, for the same consumer, with the same name and scopes."),
      form({ label: "Rotate", cancel: () => close(null), fields: [overlap], submit: async (values) => close(await api.post(`/keys/${row.id}/rotate`, values)) }),
    ],
  })
  if (made) await shown(made, "The new key", again)
}

/** Show a key, this once. */
async function shown(made, title, again) {
  const copy = button("Copy", { icon: "copy", kind: "primary", autofocus: true, onClick: () => copyText(made.key, copy) })
  await dialog({
    title, wide: true,
    body: (close) => [
      notice("warn", "It is shown this once", "Only a hash of it is kept: copy it now, to where it is needed."),
      h("div", { class: "secret" }, h("code", { tabindex: "0", "aria-label": "Key" }, made.key), copy),
      facts([
        ["consumer", made.consumer.username ?? made.consumer.id], ["id", made.key_id],
        ["scopes", made.scopes.length ? tags(made.scopes) : "none"],
        ["expires", made.expires_at ? dateTime(made.expires_at) : "never"],
        made.replaces && ["the old one ends", made.replaces.expires_at ? dateTime(made.replaces.expires_at) : "never"],
        ["as a request", h("code", {}, "curl -H 'apikey: KEY' …")],
      ]),
      h("div", { class: "form-actions" }, button("I have it", { onClick: () => close(null) })),
    ],
  })
  made.key = null
  await again()
}

async function revoke(row, again) {
  const sure = await confirmed({ title: `Revoke ${called(row)}?`, label: "Revoke", danger: true, text: "Requests with it are refused from now on, everywhere." })
  if (!sure) return
  try {
    await api.delete(`/keys/${row.id}`)
    toast("ok", `${called(row)} is revoked`)
    await again()
  } catch (error) {
    toast("bad", error.message)
  }
}
