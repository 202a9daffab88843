// One entity: what is set, what belongs to it, and of a route, the plugins that run on it.

import { api } from "../api.js"
import { chainView } from "../chain.js"
import { confirmed, dialog, toast } from "../dialogs.js"
import { h } from "../dom.js"
import { COLLECTIONS, canWrite, columnsOf, editLink, entityLink, fetchKnown, hasDatabase, nameOf, scopeOf, serviceUrl } from "../entities.js"
import { field } from "../forms.js"
import { dateTime } from "../format.js"
import { icon } from "../icons.js"
import { go, link } from "../router.js"
import { table } from "../table.js"
import { badge, button, card, code, during, facts, linkButton, pageHeader, tags } from "../ui.js"
import { declared, yaml } from "../yaml.js"

const REFERENCES = { service: "services", route: "routes", consumer: "consumers", certificate: "certificates", client_certificate: "certificates", upstream: "upstreams" }

export async function mount(root, { path, params, signal }) {
  const collection = path.split("/")[1]
  const kind = COLLECTIONS[collection]
  const at = `/${collection}/${encodeURIComponent(params.id)}`
  const [entity, schema, writable, stored] = await Promise.all([
    api.get(at, { signal }), api.get(`/schemas/${collection}`, { signal }), canWrite(), hasDatabase(),
  ])
  const known = await names(entity, signal)
  const plugin = collection === "plugins" && await api.get(`/schemas/plugins/${entity.name}`, { signal }).catch(() => null)
  document.title = `${nameOf(entity)} · proxyd`
  root.append(pageHeader({
    title: nameOf(entity), subtitle: `${kind.noun} ${entity.id}`,
    back: { href: `#/${collection}`, label: kind.title },
    actions: [
      button("YAML", { icon: "copy", onClick: () => showYaml(collection, entity, plugin ? withPlugin(schema, plugin) : schema, known) }),
      collection === "routes" && linkButton("Explain", link("/explain", {}, asked(entity))),
      (writable || !stored) && linkButton(writable ? "Edit" : "Edit as YAML", editLink(collection, { id: entity.id }), { icon: "edit" }),
      writable && button("Delete", { icon: "trash", onClick: () => remove(collection, entity, at) }),
    ].filter(Boolean),
  }))
  const grid = h("div", { class: "grid" })
  root.append(grid)
  const set = (name) => entity[name] !== null && !isDefault(schema.properties[name], entity[name])
  const shown = Object.keys(entity).filter((name) => !["id", "name", "tags", "config", "created_at", "updated_at"].includes(name))
  const plain = (name) => kind.main.includes(name) && (entity[name] === null || typeof entity[name] !== "object" || entity[name].id)
  const said = shown.filter((name) => plain(name) || set(name))
  const others = shown.filter((name) => !said.includes(name))
  grid.append(card({ title: "Settings" },
    facts([
      collection === "services" && ["URL", h("span", { class: "mono" }, serviceUrl(entity))],
      collection === "plugins" && ["scope", scopeOf(entity, known)],
      ...said.map((name) => [name, shownValue(name, entity[name], known)]),
      ["tags", tags(entity.tags)],
      ["updated", dateTime(entity.updated_at)],
    ]),
    others.length > 0 && h("details", { class: "more" }, h("summary", {}, "Settings that are as by default"),
      facts(others.map((name) => [name, shownValue(name, entity[name], known)])))))
  if (entity.config) grid.append(card({ title: "Configuration", subtitle: "Secrets are hidden." }, code(yaml(entity.config), { label: "Configuration" })))
  for (const below of kind.below) grid.append(related(collection, entity, at, below, writable, signal))
  if (collection === "upstreams") grid.append(usedBy(entity, signal))
  if (collection === "routes") grid.append(chainCard(entity, signal))
}

const isDefault = (schema, value) => schema && JSON.stringify(value) === JSON.stringify(schema.default ?? null)
const withPlugin = (schema, plugin) => ({ ...schema, $defs: { ...schema.$defs, ...plugin.$defs }, properties: { ...schema.properties, config: plugin } })

/** Return the entities that one refers to, as lists have them: by collection and id. */
async function names(entity, signal) {
  const known = {}
  await Promise.all(Object.entries(REFERENCES).map(async ([field_, collection]) => {
    const id = entity[field_]?.id
    if (!id) return
    const found = await api.get(`/${collection}/${id}`, { signal }).catch(() => null)
    if (found) (known[collection] ??= new Map()).set(id, found)
  }))
  return known
}

function shownValue(name, value, known) {
  if (value === null || value === undefined) return null
  if (REFERENCES[name] && value.id) return entityLink(REFERENCES[name], known[REFERENCES[name]]?.get(value.id) ?? value)
  if (name === "enabled") return value ? badge("ok", "on") : badge("off", "off")
  if (typeof value === "boolean") return value ? "yes" : "no"
  if (Array.isArray(value)) return value.length ? h("span", { class: "mono" }, value.map((one) => (typeof one === "object" ? JSON.stringify(one) : one)).join(", ")) : null
  if (typeof value === "object") return h("pre", { class: "mono" }, yaml(value))
  return h("span", { class: "mono" }, String(value))
}

/** The question that a route's own conditions make. */
function asked(route) {
  const host = route.hosts?.[0]?.replace("*", "www") ?? "localhost"
  const path = route.paths?.find((one) => !one.startsWith("~")) ?? "/"
  const protocol = route.protocols.includes("http") ? "http" : route.protocols[0]
  return { url: `${protocol}://${host}${path}`, method: route.methods?.[0] ?? "GET" }
}

function showYaml(collection, entity, schema, known) {
  const by = Object.fromEntries(Object.entries(REFERENCES).map(([name, other]) => [name, (id) => nameOf(known[other]?.get(id) ?? { id, name: id })]))
  const text = yaml({ [collection]: [declared(entity, schema, by)] })
  dialog({
    title: `${nameOf(entity)} as YAML`, wide: true,
    body: () => [
      h("p", { class: "muted lead" }, "What the declarative file says of it, without what is the default. Secrets are hidden: put them in, or {vault://env/NAME}."),
      code(text, { label: "YAML" }),
    ],
  })
}

async function remove(collection, entity, at) {
  const sure = await confirmed({
    title: `Delete ${nameOf(entity)}?`, label: "Delete", danger: true,
    text: `The ${COLLECTIONS[collection].noun} goes, with what makes no sense without it. The audit log can bring it back.`,
  })
  if (!sure) return
  try {
    await api.delete(at)
    toast("ok", `${nameOf(entity)} is deleted`)
    go(`#/${collection}`)
  } catch (error) {
    toast("bad", error.message)
  }
}

// --- what belongs to it -------------------------------------------------------------------------------------------

function related(collection, entity, at, below, writable, signal) {
  const kind = COLLECTIONS[below.collection]
  const body = h("div", {})
  const within = `${at.slice(1)}/${below.path}`
  const own = ["routes", "plugins", "snis"].includes(below.collection)
  const load = () => during(body, async () => {
    const known = await fetchKnown(own ? (kind.needs ?? []) : [], signal)
    const rows = below.collection === "targets" ? (await api.get(`${at}/health`, { signal })).data : await api.all(`/${within}`, { signal })
    const columns = columnsOf(below.collection, known).filter((one) => one.key !== "service" && (one.key !== "scope" || collection !== "routes"))
    if (below.collection === "targets") columns.splice(2, 0, { key: "health", label: "Health", render: health })
    if (writable) columns.push({ key: "actions", label: "Change", sortable: false, render: actions })
    made.hidden = !rows.length && !writable && collection === "consumers" && below.collection !== "plugins"
    return table({ caption: kind.title, columns, rows, none: `No ${kind.noun}` })
  })
  const actions = (row) => h("span", { class: "actions nowrap" },
    below.collection !== "key-auths" && h("a", { class: "button quiet bare", href: editLink(below.collection, { id: row.id, within }), "aria-label": `Edit ${nameOf(row)}`, title: "Edit" }, icon("edit")),
    button("", { kind: "quiet", icon: "trash", label: `Delete ${nameOf(row)}`, onClick: async () => {
      if (!await confirmed({ title: `Delete ${nameOf(row)}?`, text: `The ${kind.noun} goes. The audit log can bring it back.`, label: "Delete", danger: true })) return
      try {
        await api.delete(`/${within}/${row.id}`)
        dispatchEvent(new HashChangeEvent("hashchange")) // the chain has changed, too
      } catch (error) { toast("bad", error.message) }
    } }))
  const add = below.collection === "key-auths" ? "#/keys" : editLink(below.collection, { within })
  const made = card({ title: kind.title, actions: writable ? [linkButton("Add", add, { icon: "plus" })] : [] }, body)
  load()
  return made
}

function health(row) {
  const kind = { HEALTHY: "ok", HEALTHCHECKS_OFF: "off", UNHEALTHY: "bad", DNS_ERROR: "bad" }[row.health] ?? "off"
  const text = { HEALTHY: "healthy", HEALTHCHECKS_OFF: "not checked", UNHEALTHY: "unhealthy", DNS_ERROR: "no address" }[row.health]
  return badge(kind, text ?? row.health)
}

function usedBy(upstream, signal) {
  const body = h("div", {})
  during(body, async () => {
    const rows = (await api.all("/services", { signal })).filter((one) => one.host === upstream.name)
    return table({ caption: "Services that lead here", columns: columnsOf("services", {}), rows, none: "No service leads here" })
  })
  return card({ title: "Used by services" }, body)
}

function chainCard(route, signal) {
  const body = h("div", {})
  const choice = field({ label: "As consumer", type: "select", options: [["", "nobody in particular"]], onInput: () => draw() })
  const draw = () => during(body, async () => chainView(await api.get("/dashboard/chain", { query: { route: route.id, consumer: choice.value }, signal })))
  api.all("/consumers", { limit: 1000, signal }).then((found) => {
    choice.control.append(...found.map((one) => h("option", { value: one.id }, nameOf(one))))
  }).catch(() => {})
  choice.classList.add("inline")
  draw()
  return card({ title: "Plugins that run", subtitle: "In their order: of each plugin, the most specific instance.", wide: true, actions: [choice] }, body)
}
