// Which page an address shows: "#/services/:id?tab=routes". Pages are modules of their own, fetched when they are opened.

const routes = []

/**
 * Register a page. `path` may have parameters (":id"); `module` is its file, relative to this one. It exports
 * `mount(root, context)`, which fills `root` and may return a function that is called when the page is left.
 */
export function page(entry) {
  const names = []
  const source = entry.path.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/:(\w+)/g, (_, name) => {
    names.push(name)
    return "([^/]+)"
  })
  routes.push({ ...entry, names, pattern: new RegExp(`^${source}$`) })
}

/** The pages that have a place in the navigation, in their order. */
export const inNavigation = () => routes.filter((route) => route.nav)

/** Return what an address means: {route, params, query, path}; route is null where nothing fits. */
export function resolve(hash) {
  const [path, search = ""] = (hash.replace(/^#/, "") || "/").split(/\?(.*)/s)
  const query = new URLSearchParams(search)
  for (const route of routes) {
    const found = route.pattern.exec(path)
    if (!found) continue
    const params = Object.fromEntries(route.names.map((name, at) => [name, decode(found[at + 1])]))
    return { route, params, query, path }
  }
  return { route: null, params: {}, query, path }
}

function decode(text) {
  try { return decodeURIComponent(text) } catch { return text }
}

/** Return the address of a page: link("/services/:id", {id: "shop"}, {tab: "routes"}). */
export function link(path, params = {}, query = {}) {
  const filled = path.replace(/:(\w+)/g, (_, name) => encodeURIComponent(params[name]))
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value != null))
  return `#${filled}${search.size ? `?${search}` : ""}`
}

/** Go to an address that `link` made. */
export function go(address) {
  location.hash = address
}

/** Change the query of the present address without a new entry in the history, and without a new page. */
export function setQuery(changes) {
  const { path, query } = resolve(location.hash)
  for (const [name, value] of Object.entries(changes)) {
    if (value === "" || value === null || value === undefined) query.delete(name)
    else query.set(name, value)
  }
  history.replaceState(null, "", `#${path}${query.size ? `?${query}` : ""}`)
}
