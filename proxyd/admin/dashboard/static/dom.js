// Elements, made of names, attributes and children. Text is always text: nothing here takes HTML, so that the name of a
// route or a consumer cannot become a part of the page.

const SVG = "http://www.w3.org/2000/svg"

/** Make an element: h("p", {class: "note", on: {click: act}}, "text", h("b", {}, "more")). */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children)
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children)
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) set(element, name, value)
  append(element, children)
  return element
}

/** Set one attribute; null, undefined and false take it away. */
export function set(element, name, value) {
  if (name === "on") {
    for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener)
  } else if (name === "dataset") {
    Object.assign(element.dataset, value)
  } else if (name === "value" && "value" in element) {
    element.value = value ?? ""
  } else if (name === "checked" || name === "indeterminate") {
    element[name] = Boolean(value)
  } else if (name === "style" || name === "innerHTML" || name.startsWith("on")) {
    throw new TypeError(`${name} is not set by h(): use classes, children and on: {}`)
  } else if (value === null || value === undefined || value === false) {
    element.removeAttribute(name)
  } else {
    element.setAttribute(name, value === true ? "" : String(value))
  }
}

/** Append nodes, texts and numbers, lists of them; nothing for null, undefined and booleans. */
export function append(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || typeof child === "boolean") continue
    element.append(child instanceof Node ? child : String(child))
  }
  return element
}

/** Put others in the place of an element's children. */
export function replace(element, ...children) {
  const made = document.createDocumentFragment()
  append(made, ...children)
  element.replaceChildren(made)
  return element
}

/**
 * The same for what is shown again and again, and has no listeners: what is the same already stays, so that a selection in it
 * does, and nothing is read out anew.
 */
export function refresh(element, ...children) {
  const made = document.createDocumentFragment()
  append(made, ...children)
  liken(element, made)
}

function liken(element, wanted) {
  const there = [...element.childNodes]
  const others = [...wanted.childNodes]
  others.forEach((other, at) => {
    const one = there[at]
    if (!one) element.append(other)
    else if (one.isEqualNode(other)) return
    else if (one.nodeType === Node.TEXT_NODE && other.nodeType === Node.TEXT_NODE) one.data = other.data
    else if (one.cloneNode(false).isEqualNode(other.cloneNode(false))) liken(one, other)
    else one.replaceWith(other)
  })
  for (const one of there.slice(others.length)) one.remove()
}

let count = 0

/** Return an id that no other element has. */
export function uid(prefix = "u") {
  count += 1
  return `${prefix}${count}`
}
