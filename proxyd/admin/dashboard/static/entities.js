// What there is to know of collections: how they are called, what a list shows of them, and what belongs to what.

import { api, may } from "./api.js"
import { h } from "./dom.js"
import { link } from "./router.js"
import { badge, tags } from "./ui.js"

const some = (list) => (list?.length ? list.join(", ") : null)
const mono = (text) => (text === null || text === undefined || text === "" ? null : h("span", { class: "mono" }, text))

/** What an entity is called by people: its name, or what stands for one, or the beginning of its id. */
export function nameOf(entity) {
  if (!entity) return "–"
  return entity.name ?? entity.username ?? entity.target ?? entity.custom_id ?? entity.group ?? entity.id.slice(0, 8)
}

/** A link to an entity's page; `found` is the entity, or what is known of it. */
export function entityLink(collection, found) {
  if (!found) return null
  return h("a", { href: link(`/${collection}/:id`, { id: found.id }) }, nameOf(found))
}

const named = (collection) => ({
  key: "name", label: "Name", header: true, value: nameOf, render: (row) => entityLink(collection, row),
})
const tagged = { key: "tags", label: "Tags", sortable: false, render: (row) => (row.tags?.length ? tags(row.tags) : null) }
const enabled = {
  key: "enabled", label: "State",
  render: (row) => (row.enabled ? badge("ok", "on") : badge("off", "off")),
}

/** The URL that a service stands for. */
export const serviceUrl = (one) => `${one.protocol}://${one.host}${one.protocol === "memory" ? "" : `:${one.port}`}${one.path ?? ""}`

/** Where a plugin applies: links to what it is limited to. */
export function scopeOf(plugin, known = {}) {
  const parts = ["route", "service", "consumer"].filter((kind) => plugin[kind])
  if (!parts.length) return badge("info", "global")
  return parts.map((kind, at) => [at ? " + " : "", `${kind} `, entityLink(`${kind}s`, known[`${kind}s`]?.get(plugin[kind].id) ?? plugin[kind])])
}

function healthOf(targets) {
  if (!targets?.length) return badge("off", "no targets")
  const good = targets.filter((one) => !one.ejected && ["HEALTHY", "HEALTHCHECKS_OFF"].includes(one.health)).length
  const kind = good === targets.length ? "ok" : good ? "warn" : "bad"
  return badge(kind, `${good} of ${targets.length}`, `${good} of ${targets.length} addresses get requests`)
}

/**
 * Collections with pages. `needs` are others whose names a list shows; `main` the fields that a form shows first; `below` what
 * is listed on an entity's page, by its path there.
 */
export const COLLECTIONS = {
  services: {
    title: "Services", noun: "service", icon: "service", needs: [],
    main: ["name", "protocol", "host", "port", "path", "retries", "enabled", "tags"],
    columns: [named("services"), { key: "url", label: "Where", value: serviceUrl, render: (row) => mono(serviceUrl(row)) }, enabled, tagged],
    below: [{ collection: "routes", path: "routes" }, { collection: "plugins", path: "plugins" }],
  },
  routes: {
    title: "Routes", noun: "route", icon: "route", needs: ["services"],
    main: ["name", "service", "protocols", "methods", "hosts", "paths", "headers", "strip_path", "preserve_host", "tags"],
    columns: [
      named("routes"),
      { key: "methods", label: "Methods", value: (row) => some(row.methods) ?? "", render: (row) => some(row.methods) ?? "any" },
      { key: "hosts", label: "Hosts", value: (row) => some(row.hosts) ?? "", render: (row) => mono(some(row.hosts)) ?? "any" },
      { key: "paths", label: "Paths", value: (row) => some(row.paths) ?? "", render: (row) => mono(some(row.paths)) ?? "any" },
      { key: "service", label: "Service", value: (row, known) => nameOf(known.services?.get(row.service?.id)), render: (row, known) => entityLink("services", known.services?.get(row.service?.id)) },
      tagged,
    ],
    below: [{ collection: "plugins", path: "plugins" }],
  },
  consumers: {
    title: "Consumers", noun: "consumer", icon: "consumer", needs: [], main: ["username", "custom_id", "tags"],
    columns: [named("consumers"), { key: "custom_id", label: "Custom id", render: (row) => mono(row.custom_id) }, tagged],
    below: [
      { collection: "key-auths", path: "key-auth" }, { collection: "acls", path: "acls" },
      { collection: "basic-auths", path: "basic-auth" }, { collection: "hmac-auths", path: "hmac-auth" },
      { collection: "jwts", path: "jwt" }, { collection: "mtls-auths", path: "mtls-auth" },
      { collection: "plugins", path: "plugins" },
    ],
  },
  upstreams: {
    title: "Upstreams", noun: "upstream", icon: "upstream", needs: ["health"], main: ["name", "algorithm", "hash_on", "healthchecks", "tags"],
    columns: [
      named("upstreams"), { key: "algorithm", label: "Algorithm" },
      { key: "health", label: "Targets", sortable: false, render: (row, known) => healthOf(known.health?.get(row.name)) }, tagged,
    ],
    below: [{ collection: "targets", path: "targets" }],
  },
  plugins: {
    title: "Plugins", noun: "plugin", icon: "plugin", needs: ["services", "routes", "consumers"],
    main: ["name", "instance_name", "service", "route", "consumer", "config", "enabled", "tags"],
    columns: [
      { ...named("plugins"), label: "Plugin" },
      { key: "instance_name", label: "Instance" },
      { key: "scope", label: "Scope", value: (row) => ["route", "service", "consumer"].filter((kind) => row[kind]).join("+"), render: scopeOf },
      enabled, tagged,
    ],
    below: [],
  },
  certificates: {
    title: "Certificates", noun: "certificate", icon: "certificate", needs: ["names"], main: ["cert", "key", "tags"],
    columns: [
      named("certificates"),
      { key: "snis", label: "Shown for", sortable: false, render: (row, known) => mono(some(known.names?.get(row.id))) }, tagged,
    ],
    below: [{ collection: "snis", path: "snis" }],
  },
  ca_certificates: {
    title: "CA certificates", noun: "CA certificate", icon: "certificate", needs: [], main: ["cert", "tags"],
    columns: [named("ca_certificates"), { key: "cert_digest", label: "Digest", render: (row) => mono(row.cert_digest?.slice(0, 16)) }, tagged],
    below: [],
  },
  snis: {
    title: "Server names", noun: "server name", icon: "certificate", needs: [], main: ["name", "certificate", "tags"],
    columns: [named("snis"), { key: "certificate", label: "Certificate", value: (row) => row.certificate.id, render: (row) => entityLink("certificates", row.certificate) }, tagged],
    below: [],
  },
  targets: { title: "Targets", noun: "target", main: ["target", "weight", "tags"], columns: [{ key: "target", label: "Target", header: true, render: (row) => mono(row.target) }, { key: "weight", label: "Weight", numeric: true }, tagged], below: [] },
  "key-auths": credential("Keys", "key", ["name", "key_id", "scopes", "expires_at"]),
  "basic-auths": credential("Basic auth", "credential", ["username"]),
  "hmac-auths": credential("HMAC", "credential", ["username"]),
  jwts: credential("JWT secrets", "JWT secret", ["key", "algorithm"]),
  "mtls-auths": credential("Client certificates", "name in certificates", ["subject_name"]),
  acls: credential("Groups", "group", ["group"]),
}

function credential(title, noun, fields) {
  const columns = fields.map((key, at) => ({ key, label: key.replaceAll("_", " "), header: at === 0, render: (row) => mono(Array.isArray(row[key]) ? some(row[key]) : row[key]) }))
  return { title, noun, main: [...fields, "tags"], columns: [...columns, tagged], below: [] }
}

/** Columns for a table, which know what others are called. */
export const columnsOf = (collection, known) => COLLECTIONS[collection].columns.map((one) => ({
  ...one,
  value: one.value && ((row) => one.value(row, known)),
  render: one.render && ((row) => one.render(row, known)),
}))

/** Return what a list needs beside its rows, by name: maps of entities by id, addresses by upstream, names by certificate. */
export async function fetchKnown(needs, signal) {
  const known = {}
  await Promise.all(needs.map(async (name) => {
    if (name === "health") known.health = grouped((await api.get("/status", { signal })).upstreams, (one) => one.upstream)
    else if (name === "names") known.names = grouped(await api.all("/snis", { signal }), (one) => one.certificate.id, (one) => one.name)
    else known[name] = new Map((await api.all(`/${name}`, { signal })).map((one) => [one.id, one]))
  }))
  return known
}

function grouped(rows, key, value = (one) => one) {
  const groups = new Map()
  for (const row of rows) groups.set(key(row), [...(groups.get(key(row)) ?? []), value(row)])
  return groups
}

let gateway = null

/** Whether entities are kept in a database, so that they can be changed here. */
export async function hasDatabase() {
  gateway ??= api.get("/").catch((error) => { gateway = null; throw error })
  return (await gateway).configuration.database !== "off"
}

/** Whether whoever is logged in can change entities. */
export const canWrite = async () => may("operator") && hasDatabase()

/** Where an entity is changed, or a new one is made: `within` is the path of the collection where that is not its own. */
export function editLink(collection, { id = "", within = "" } = {}) {
  return link("/edit/:collection", { collection }, { id, within })
}

const NAMES = { "key-auths": "keyauth_credentials", "basic-auths": "basicauth_credentials", "hmac-auths": "hmacauth_credentials", jwts: "jwt_secrets", "mtls-auths": "mtls_auth_credentials" }

/** What the gateway calls a collection that has another name in paths. */
export const modelName = (path) => NAMES[path] ?? path

/** The path of a collection that the gateway calls so. */
export const pathOf = (name) => Object.keys(NAMES).find((path) => NAMES[path] === name) ?? name
