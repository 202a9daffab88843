// Change an entity, or make one: a form out of its schema, judged as one types, with the difference before it is saved.
// Where there is no database, what comes of it is YAML for the file.

import { api, may } from "../api.js"
import { dialog, toast } from "../dialogs.js"
import { diffView } from "../diff.js"
import { h, replace } from "../dom.js"
import { COLLECTIONS, hasDatabase, modelName, nameOf } from "../entities.js"
import { field } from "../forms.js"
import { go, link } from "../router.js"
import { changes, compacted, schemaFields } from "../schemaform.js"
import { button, card, code, empty, notice, pageHeader } from "../ui.js"
import { undoLast } from "../undo.js"
import { declared, difference, same, yaml } from "../yaml.js"

const TYPING = 400 // milliseconds without a key after which it is judged
const REFERENCES = { service: "services", route: "routes", consumer: "consumers", certificate: "certificates", client_certificate: "certificates", upstream: "upstreams", ca_certificate: "ca_certificates" }
const GIVEN = ["id", "created_at", "updated_at"] // by the gateway
const WAYS = { "key-auth": "key-auths", "basic-auth": "basic-auths", "hmac-auth": "hmac-auths", jwt: "jwts", "mtls-auth": "mtls-auths" }

export async function mount(root, { params, query, signal }) {
  const { collection } = params
  const kind = COLLECTIONS[collection]
  const id = query.get("id")
  const within = query.get("within") || collection
  const stored = await hasDatabase()
  if (!may("operator")) {
    root.append(pageHeader({ title: "Edit" }), empty("You may look, and not change", "Entities are changed by operators and admins."))
    return
  }
  const at = id && `/${within}/${encodeURIComponent(id)}`
  const [schema, entity, named] = await Promise.all([
    api.get(`/schemas/${collection}`, { signal }), at ? api.get(at, { signal }) : null, references(signal, collection),
  ])
  const title = entity ? `Edit ${nameOf(entity)}` : `New ${kind.noun}`
  document.title = `${title} · proxyd`
  const back = entity && COLLECTIONS[within] ? link(`/${collection}/:id`, { id: entity.id }) : `#/${within.split("/").slice(0, 2).join("/")}`
  root.append(pageHeader({ title, back: { href: back, label: "Back" } }))
  const owner = await ownerOf(within, named, signal)
  if (!stored) root.append(notice("info", "There is no database", "The declarative file is the truth: what you make here is YAML to put into it."))
  const place = h("div", {})
  root.append(card({ title: "Settings" }, place))

  const start = async (name) => {
    const whole = collection === "plugins" ? await withConfig(schema, name, signal) : schema
    editor({ place, collection, within, kind, schema: whole, entity: entity ?? (name ? { name } : {}), fresh: !entity, at, named, owner, stored, back, signal })
  }
  if (collection === "plugins" && !entity) await choosePlugin(place, start, signal, query.get("name"))
  else await start(entity?.name)
}

/** Names by id of what may be referred to, by field. */
async function references(signal, collection) {
  const wanted = { services: ["client_certificate"], routes: ["service"], plugins: ["service", "route", "consumer"], upstreams: ["client_certificate"], snis: ["certificate"], "mtls-auths": ["ca_certificate"] }[collection] ?? []
  const found = {}
  await Promise.all(wanted.map(async (name) => {
    found[name] = (await api.all(`/${REFERENCES[name]}`, { signal })).map((one) => [one.id, nameOf(one)])
  }))
  return found
}

/** The reference that a path gives: services/ID/routes is a route of that service. Its name is put among those known. */
async function ownerOf(within, named, signal) {
  const [parent, wanted] = within.split("/")
  if (!wanted) return {}
  const name = Object.keys(REFERENCES).find((one) => REFERENCES[one] === parent)
  const found = await api.get(`/${parent}/${wanted}`, { signal })
  named[name] = [...(named[name] ?? []), [found.id, nameOf(found)]]
  return { [name]: { id: found.id } }
}

async function withConfig(schema, name, signal) {
  const config = await api.get(`/schemas/plugins/${encodeURIComponent(name)}`, { signal })
  const { $defs = {}, ...own } = config
  return { ...schema, $defs: { ...schema.$defs, ...$defs }, properties: { ...schema.properties, config: own } }
}

async function choosePlugin(place, start, signal, given) {
  const { enabled_plugins: known } = await api.get("/plugins/enabled", { signal })
  if (known.includes(given)) return start(given)
  const choice = field({ label: "Plugin", name: "plugin", type: "select", options: [["", "Choose one"], ...[...known].sort()], onInput: (one) => one.value && start(one.value) })
  replace(place, choice)
  return undefined
}

function editor({ place, collection, within, kind, schema, entity, fresh, at, named, owner, stored, back, signal }) {
  const names = Object.fromEntries(Object.entries(named).map(([name, options]) => [name, (id) => options.find(([one]) => one === id)?.[1] ?? id]))
  const skip = [...GIVEN, ...Object.keys(owner), ...(collection === "plugins" ? ["name"] : []), ...(collection === "key-auths" ? ["hash", "key_id"] : [])]
  const problem = h("div", { class: "form-problem", role: "alert" })
  const verdict = h("p", { class: "form-verdict", role: "status" })
  let timer = null
  let judging = 0
  let sending = false
  const inner = schemaFields({ schema, value: entity, main: kind.main, choices: named, skip, onChange: () => { clearTimeout(timer); timer = setTimeout(judge, TYPING) } })
  const before = fresh ? {} : inner.read()

  const now = () => ({ ...entity, ...owner, ...inner.read() })
  const text = (one, keep = []) => yaml(declared(one, schema, names, keep))

  /** Ask whether what is there would be right; answers to older questions do not count. */
  async function judge() {
    judging += 1
    const mine = judging
    try {
      const value = Object.fromEntries(Object.entries(compacted(now())).filter(([name]) => name in schema.properties && !GIVEN.includes(name)))
      await api.post(collection === "plugins" ? "/schemas/plugins/validate" : `/schemas/${WAYS[collection] ?? collection}/validate`, value, { signal })
      if (mine !== judging) return true
      inner.tell({})
      replace(problem)
      replace(verdict, "It would be accepted.")
      return true
    } catch (error) {
      if (error.name === "AbortError" || mine !== judging) return false
      tell(error)
      return false
    }
  }

  function tell(error) {
    inner.tell(error.fields ?? {})
    replace(verdict)
    const whole = error.fields?.["@entity"]
    const elsewhere = Object.keys(error.fields ?? {}).filter((name) => name !== "@entity" && !inner.names.includes(name))
    if (whole || elsewhere.length || !Object.keys(error.fields ?? {}).length) replace(problem, whole ? [whole].flat().join("; ") : error.message)
    else replace(problem)
  }

  async function submit(event) {
    event.preventDefault()
    if (sending) return
    sending = true
    try { await send() } finally { sending = false }
  }

  async function send() {
    clearTimeout(timer)
    let value
    try {
      value = now()
    } catch (error) {
      tell(error)
      return
    }
    if (!await judge()) {
      place.querySelector("[aria-invalid]")?.focus()
      return
    }
    if (!stored) return void showYaml(collection, text(value))
    await review(value)
  }

  async function review(value) {
    const patch = fresh ? compacted({ ...value, ...owner }) : changes(before, inner.read())
    if (!fresh && !Object.keys(patch).length) return void toast("info", "Nothing has changed")
    const lines = difference(fresh ? "" : text(entity, Object.keys(patch)), text(value, fresh ? [] : Object.keys(patch)))
    const said = await dialog({
      title: fresh ? `Make this ${kind.noun}?` : "Save this?", wide: true,
      body: (close) => [diffView(lines), h("div", { class: "form-actions" },
        button("Save", { kind: "primary", onClick: () => close(true) }), button("Go on editing", { onClick: () => close(null) }))],
    })
    if (said) await save(patch)
  }

  async function save(patch) {
    try {
      if (!fresh) {
        const present = await api.get(at, { signal })
        if (!same(present, entity) && !await overwrite(present)) return
      }
      const saved = fresh ? await api.post(`/${within}`, patch) : await api.patch(at, patch)
      toast("ok", `${nameOf(saved)} is saved`, { seconds: 15, action: { label: "Undo", run: () => takeBack(collection, saved.id) } })
      go(COLLECTIONS[within] ? link(`/${collection}/:id`, { id: saved.id }) : back)
    } catch (error) {
      tell(error)
    }
  }

  /** Somebody else has changed it since this page was opened: show what, and ask. */
  async function overwrite(present) {
    const said = await dialog({
      title: "Somebody else has changed it meanwhile", wide: true,
      body: (close) => [
        h("p", {}, "This is what has changed since you opened it. Saving puts your changed fields on top; the others stay as they are now."),
        diffView(difference(text(entity), text(present))),
        h("div", { class: "form-actions" }, button("Save mine on top", { kind: "danger", onClick: () => close("save") }),
          button("Begin again with theirs", { onClick: () => close("reload") }), button("Cancel", { onClick: () => close(null) })),
      ],
    })
    if (said === "reload") dispatchEvent(new HashChangeEvent("hashchange"))
    return said === "save"
  }

  replace(place, h("form", { class: "form", novalidate: true, on: { submit } }, problem,
    collection === "plugins" && h("p", {}, "Plugin ", h("strong", {}, entity.name)), inner.element, verdict,
    h("div", { class: "form-actions" }, button(stored ? "Review and save" : "Show YAML", { kind: "primary", type: "submit" }),
      h("a", { class: "button", href: back }, "Cancel"))))
}

/** Undo what was just saved, and show what is there then. */
async function takeBack(collection, id) {
  try {
    await undoLast(collection, id)
    dispatchEvent(new HashChangeEvent("hashchange"))
  } catch (error) {
    toast("bad", error.message)
  }
}

function showYaml(collection, text) {
  const body = `${modelName(collection)}:\n- ${text.replaceAll("\n", "\n  ")}`
  dialog({ title: "YAML for the file", wide: true, body: () => [
    h("p", { class: "muted lead" }, "Put this into the declarative file, and reload. Secrets are hidden: put them in, or {vault://env/NAME}."),
    code(body, { label: "YAML" })] })
}
