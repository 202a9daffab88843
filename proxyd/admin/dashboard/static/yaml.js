// Entities as YAML, the way that the declarative file has them.

import { nameOf } from "./entities.js"

const PLAIN = /^[A-Za-z_/.][A-Za-z0-9_./-]*$/
const WORDS = /^(?:y|n|yes|no|on|off|true|false|null|~)$/i

function scalar(value) {
  if (typeof value !== "string") return JSON.stringify(value)
  return PLAIN.test(value) && !WORDS.test(value) ? value : JSON.stringify(value)
}

/** A text of several lines, such as PEM, as it is; null for what cannot be written so. */
function block(value, indent) {
  if (typeof value !== "string" || !/^\S[^\t\r]*\S\n?$/.test(value) || !value.trimEnd().includes("\n")) return null
  if (value.split("\n").some((line) => line.endsWith(" ")) || value.endsWith("\n\n")) return null
  return `${value.endsWith("\n") ? "|" : "|-"}\n${value.trimEnd().split("\n").map((line) => (line ? indent + line : "")).join("\n")}`
}

const isMapping = (value) => value !== null && typeof value === "object" && !Array.isArray(value)
const isShort = (list) => list.every((one) => one === null || typeof one !== "object") && JSON.stringify(list).length < 70

/** Return a value as YAML, without a line feed at its end. */
export function yaml(value, indent = "") {
  if (Array.isArray(value)) {
    if (isShort(value)) return `[${value.map(scalar).join(", ")}]`
    return value.map((one) => `${indent}- ${isMapping(one) ? yaml(one, `${indent}  `).trimStart() : yaml(one, `${indent}  `)}`).join("\n")
  }
  if (!isMapping(value)) return scalar(value)
  const entries = Object.entries(value)
  if (!entries.length) return "{}"
  return entries.map(([name, one]) => {
    const inline = !(one !== null && typeof one === "object") || (Array.isArray(one) && isShort(one)) || (isMapping(one) && !Object.keys(one).length)
    const lines = block(one, `${indent}  `)
    const text = lines ? ` ${lines}` : inline ? ` ${yaml(one)}` : `\n${yaml(one, Array.isArray(one) ? indent : `${indent}  `)}`
    return `${indent}${PLAIN.test(name) ? name : JSON.stringify(name)}:${text}`
  }).join("\n")
}

/** Whether two values are the same, however deep. */
export const same = (left, right) => JSON.stringify(ordered(left)) === JSON.stringify(ordered(right))

function ordered(value) {
  if (Array.isArray(value)) return value.map(ordered)
  if (!isMapping(value)) return value ?? null
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, ordered(value[name])]))
}

/**
 * Return what a file says of an entity: without what is the default anyway, unless it is among those to `keep`; references by
 * name where `known` has one.
 */
export function declared(entity, schema, known = {}, keep = []) {
  const found = {}
  for (const [name, value] of Object.entries(entity)) {
    if (["created_at", "updated_at"].includes(name) || (name === "id" && nameOf(entity) !== entity.id?.slice(0, 8))) continue
    const plain = keep.includes(name) && !isMapping(value)
    const kept = plain ? value : name in known && value?.id ? known[name](value.id) : without(value, schema?.properties?.[name], schema)
    if (kept !== undefined && kept !== null) found[name] = name === "snis" && Array.isArray(value) && !schema?.properties?.snis ? value.map((one) => ({ name: one })) : kept
  }
  return found
}

function without(value, schema, root) {
  if (value === null || value === undefined || (schema && "default" in schema && same(value, schema.default))) return undefined
  if (Array.isArray(value) && !value.length && same(schema?.default ?? [], [])) return undefined
  if (!isMapping(value)) return value
  const inner = resolved(schema, root)
  const kept = Object.fromEntries(Object.entries(value)
    .map(([name, one]) => [name, without(one, inner?.properties?.[name], root)])
    .filter(([, one]) => one !== undefined))
  return Object.keys(kept).length || !inner?.properties ? kept : undefined
}

/** Follow a schema to where it says what a value is: through references, and past null. */
export function resolved(schema, root) {
  let one = schema
  for (let steps = 0; one && steps < 8; steps += 1) {
    if (one.$ref) one = { ...root.$defs?.[one.$ref.split("/").pop()], ...strip(one, "$ref") }
    else if (one.allOf?.length === 1) one = { ...strip(one, "allOf"), ...one.allOf[0] }
    else if (one.anyOf) {
      const kinds = one.anyOf.filter((kind) => kind.type !== "null")
      if (kinds.length !== 1) return one
      one = { ...strip(one, "anyOf"), ...kinds[0] }
    } else return one
  }
  return one
}

function strip(schema, name) {
  const { [name]: _, ...rest } = schema
  return rest
}

/** Return the lines of a change: [sign, text], where sign is "+", "-" or " ". */
export function difference(before, after) {
  const left = before.split("\n")
  const right = after.split("\n")
  const longest = Array.from({ length: left.length + 1 }, () => new Uint16Array(right.length + 1))
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = right.length - 1; j >= 0; j -= 1) {
      longest[i][j] = left[i] === right[j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1])
    }
  }
  const lines = []
  let i = 0
  let j = 0
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) {
      lines.push([" ", left[i]])
      i += 1
      j += 1
    } else if (i < left.length && (j === right.length || longest[i + 1][j] >= longest[i][j + 1])) {
      lines.push(["-", left[i]])
      i += 1
    } else {
      lines.push(["+", right[j]])
      j += 1
    }
  }
  return lines
}
