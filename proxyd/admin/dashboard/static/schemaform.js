// A form made of a JSON Schema, as /schemas tells it: a control for each field, nested records in groups of their own.

import { h } from "./dom.js"
import { field } from "./forms.js"
import { resolved, same } from "./yaml.js"

const SCALARS = ["string", "integer", "number"]
const NOT_SET = Symbol("not set")

/** What a field is edited as: boolean, choice, number, text, list, record or json. */
function kindOf(schema) {
  if (schema.enum) return "choice"
  if (schema.type === "boolean") return "boolean"
  if (schema.type === "integer" || schema.type === "number") return "number"
  if (schema.type === "string") return "text"
  if (schema.type === "array" && SCALARS.includes(schema.items?.type)) return "list"
  if (schema.type === "object" && schema.properties) return "record"
  return "json"
}

/**
 * Make a form's fields. `main` are those that are shown at first, `choices` has the options of references by field ([id, name]).
 * Returns {element, names, read(), tell(fields)}: `read` gives the values, with null for what is not set, and raises what a form shows.
 */
export function schemaFields({ schema, root = schema, value = {}, main = null, choices = {}, skip = [], onChange = () => {}, path = [] }) {
  const parts = []
  for (const [name, own] of Object.entries(schema.properties ?? {})) {
    if (skip.includes(name) || own.deprecated) continue
    const one = resolved(own, root)
    parts.push(part({ name, own, one, root, value: value?.[name], required: schema.required?.includes(name), options: choices[name], onChange, path: [...path, name] }))
  }
  const first = main ? main.flatMap((name) => parts.filter((one) => one.name === name)) : parts.filter((one) => one.kind !== "record")
  const rest = parts.filter((one) => !first.includes(one))
  const more = rest.length === 0 ? null : main
    ? h("details", { class: "more" }, h("summary", {}, "More settings"), h("div", { class: "fields" }, rest.map((one) => one.element)))
    : rest.map((one) => one.element)
  return {
    element: h("div", { class: "fields" }, first.map((one) => one.element), more),
    names: parts.map((one) => one.name),
    read() {
      return Object.fromEntries(parts.map((one) => [one.name, one.read()]))
    },
    tell(fields) {
      for (const one of parts) one.tell(fields?.[one.name] ?? null)
    },
  }
}

function part({ name, own, one, root, value, required, options, onChange, path }) {
  const kind = options ? "reference" : kindOf(one)
  if (kind === "record" && path.length < 5) return group({ name, own, one, root, value, onChange, path })
  const otherwise = own.default ?? null
  const made = control({ name, kind, one, own, value, required, options, otherwise, onChange, path })
  return {
    name, kind, element: made,
    read: () => read(made, kind, one, name),
    tell: (message) => {
      made.fail(message === null ? null : flat(message))
      if (message !== null) openAround(made)
    },
  }
}

function group({ name, own, one, root, value, onChange, path }) {
  const inner = schemaFields({ schema: one, root, value: value ?? {}, onChange, path })
  const used = value !== null && value !== undefined && !same(value, own.default ?? null)
  const element = h("details", { class: "group", open: used || path.length === 1 && name === "config" },
    h("summary", {}, name), own.description && h("p", { class: "field-help" }, marked(own.description)), inner.element)
  return {
    name, kind: "record", element,
    read() {
      const found = inner.read()
      const set = Object.values(found).some((each) => each !== null)
      return set || used ? found : null
    },
    tell(fields) {
      inner.tell(typeof fields === "object" ? fields : null)
      if (typeof fields === "string") element.open = true
    },
  }
}

function control({ name, kind, one, own, value, required, options, otherwise, onChange, path }) {
  const said = own.description ?? one.description ?? null
  const help = marked(said)
  const shared = { label: name, name: path.join("."), required, onInput: onChange, autocomplete: "off", spellcheck: "false" }
  const hint = otherwise === null || otherwise === "" || kind === "boolean" ? null : text(otherwise)
  if (kind === "boolean" && typeof otherwise === "boolean") return field({ ...shared, type: "checkbox", value: value ?? otherwise, help })
  if (kind === "boolean") return field({ ...shared, type: "select", options: [["", "not set"], "true", "false"], value: String(value ?? ""), help })
  if (kind === "choice") return field({ ...shared, type: "select", options: [...(required && value !== undefined ? [] : [["", otherwise === null ? "not set" : `${otherwise} (default)`]]), ...one.enum.map(String)], value: value === null || value === undefined || same(value, otherwise) && !required ? "" : String(value), help })
  if (kind === "reference") return field({ ...shared, type: "select", options: [["", "none"], ...options], value: value?.id ?? value ?? "", help })
  if (kind === "number") return field({ ...shared, type: "number", step: one.type === "integer" ? "1" : "any", value: value ?? "", placeholder: hint, help })
  if (kind === "list") return field({ ...shared, type: "textarea", rows: Math.min(6, Math.max(2, value?.length ?? 0)), value: (value ?? []).join("\n"), placeholder: hint, help: [help, " One a line."] })
  if (kind === "json" || kind === "record") return field({ ...shared, type: "textarea", rows: 3, value: value === null || value === undefined ? "" : JSON.stringify(value, null, 2), placeholder: hint, help: [help, " As JSON."] })
  if (String(value ?? "").includes("\n") || one.format === "textarea" || /^(cert|key)(_alt)?$|public_key$/.test(name)) return field({ ...shared, type: "textarea", rows: 6, value: value ?? "", placeholder: hint, help })
  return field({ ...shared, value: value ?? "", placeholder: hint, help })
}

/** Texts of help mark code by double backquotes. */
const marked = (said) => said && said.split("``").map((one, at) => (at % 2 ? h("code", {}, one) : one))

const text = (value) => (Array.isArray(value) ? value.join("\n") : typeof value === "object" ? JSON.stringify(value) : String(value))

function read(made, kind, one, name) {
  const given = made.value
  if (kind === "boolean" && typeof given === "boolean") return given
  if (given === "" || given === null) return null
  if (kind === "boolean") return given === "true"
  if (kind === "choice") return one.enum.find((each) => String(each) === given)
  if (kind === "reference") return { id: given }
  if (kind === "number") return Number(given)
  if (kind === "list") return given.split("\n").map((each) => each.trim()).filter(Boolean).map((each) => (one.items.type === "string" ? each : Number(each)))
  if (kind === "json" || kind === "record") {
    try {
      return JSON.parse(given)
    } catch (error) {
      throw Object.assign(new Error(`${name} is no JSON`), { fields: { [name]: `is no JSON: ${error.message}` } })
    }
  }
  return given
}

const flat = (message) => (typeof message === "string" ? message : Array.isArray(message) ? message.map(flat).join("; ") : Object.entries(message).map(([name, one]) => `${name}: ${flat(one)}`).join("; "))

function openAround(element) {
  for (let above = element.closest("details"); above; above = above.parentElement?.closest("details")) above.open = true
}

/** Return what has changed, as a PATCH takes it: records field by field, null for what is taken away. */
export function changes(before, after) {
  const found = changed(before ?? {}, after)
  return found === NOT_SET ? {} : found
}

function changed(before, after) {
  if (same(before, after)) return NOT_SET
  const mapping = (one) => one !== null && typeof one === "object" && !Array.isArray(one)
  if (!mapping(before) || !mapping(after)) return after
  const found = Object.entries(after).map(([name, one]) => [name, changed(before[name] ?? null, one)]).filter(([, one]) => one !== NOT_SET)
  return found.length ? Object.fromEntries(found) : NOT_SET
}

/** Return a value without what is null, however deep. */
export function compacted(value) {
  if (value === null || typeof value !== "object") return value
  if (Array.isArray(value)) return value.map(compacted)
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== null && one !== undefined).map(([name, one]) => [name, compacted(one)]))
}
