// What is asked of the Admin API, as whoever is logged in. Errors come in Kong's form: message, name, code, fields.

const CSRF_HEADER = "X-CSRF-Token"
const LONGEST_READ = 30_000 // milliseconds for an answer
const LONGEST_WRITE = 60_000

/** Who is logged in, as /session tells. */
export const session = { name: null, role: null, csrf: null, expires_at: null, login_required: false }

const RANK = { viewer: 1, operator: 2, admin: 3 }

/** Tell whether the session's role may do what a role may. */
export const may = (role) => (RANK[session.role] ?? 0) >= RANK[role]

/** An answer that is no success, or none at all (status 0). */
export class ApiError extends Error {
  constructor(status, document, retryAfter = null) {
    super(document?.message ?? (status ? `The gateway answered ${status}` : "The gateway does not answer"))
    this.name = "ApiError"
    this.status = status
    this.kind = document?.name ?? ""
    this.code = document?.code ?? null
    this.fields = document?.fields ?? {}
    this.document = document
    this.retryAfter = retryAfter
  }
}

let loggedOut = () => {}

/** Have a function called when the session is over. */
export function onLoggedOut(listener) {
  loggedOut = listener
}

/**
 * Ask, and return the decoded answer (null for none). Raises ApiError; an abort raises what fetch does.
 *
 * Who has logged in anew in another tab has the cookie of another session, which wants another word with each write.
 */
export async function request(method, path, options = {}) {
  const { csrf, name, role } = session
  try {
    return await ask(method, path, options)
  } catch (error) {
    if (error.status !== 403 || method === "GET" || !csrf) throw error
    const present = await ask("GET", "session").catch(() => null)
    if (!present?.csrf || present.csrf === csrf) throw error
    if (path !== "session" && (present.name !== name || present.role !== role)) {
      throw new ApiError(403, { message: `${present.name} has logged in with this browser: load the page anew` })
    }
    take(present)
    return ask(method, path, options)
  }
}

async function ask(method, path, { body, query, signal, headers = {} } = {}) {
  const url = new URL(path.replace(/^\//, ""), document.baseURI)
  url.hash = ""
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value)
  }
  const sent = { Accept: "application/json", ...headers }
  if (body !== undefined) sent["Content-Type"] = "application/json"
  if (method !== "GET" && session.csrf) sent[CSRF_HEADER] = session.csrf
  const within = method === "GET" ? LONGEST_READ : LONGEST_WRITE
  let response
  let answer
  try {
    response = await fetch(url, {
      method, headers: sent, credentials: "same-origin", cache: "no-store",
      signal: AbortSignal.any([AbortSignal.timeout(within), ...(signal ? [signal] : [])]),
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    answer = await decoded(response)
  } catch (error) {
    if (error.name === "AbortError") throw error
    throw new ApiError(0, error.name === "TimeoutError" ? { message: late(method, within) } : null)
  }
  if (response.ok || response.status === 304) return answer
  const error = new ApiError(response.status, answer, response.headers.get("Retry-After"))
  if (response.status === 401 && !path.replace(/^\//, "").startsWith("session")) loggedOut(error)
  throw error
}

function late(method, within) {
  const said = `The gateway has not answered for ${within / 1000} s`
  return method === "GET" ? said : `${said}: what was asked for may be done all the same`
}

async function decoded(response) {
  const text = await response.text()
  if (!text) return null
  try {
    return JSON.parse(text)
  } catch {
    return response.ok ? text : { message: text.slice(0, 300) }
  }
}

export const api = {
  get: (path, options) => request("GET", path, options),
  post: (path, body, options) => request("POST", path, { ...options, body }),
  put: (path, body, options) => request("PUT", path, { ...options, body }),
  patch: (path, body, options) => request("PATCH", path, { ...options, body }),
  delete: (path, options) => request("DELETE", path, options),

  /** Return every entity of a collection, page by page, up to a limit. */
  async all(path, { limit = 10000, query, ...options } = {}) {
    const found = []
    let offset = null
    do {
      const page = await request("GET", path, { ...options, query: { size: 1000, ...query, offset } })
      found.push(...page.data)
      offset = page.offset ?? null
    } while (offset && found.length < limit)
    return found
  },
}

/** Ask who is logged in. True where the dashboard can be used; a gateway without sessions is open. */
export async function loadSession() {
  try {
    take(await request("GET", "session"))
  } catch (error) {
    if (error.status === 404) take({ role: "admin" })
    else if (error.status === 401 || error.status === 403) take({ login_required: error.status === 401 })
    else throw error
    if (error.status === 403) throw error
  }
  return session.role !== null
}

/** Log in with a token; raises ApiError. */
export async function login(token) {
  take(await request("POST", "session", { body: { token } }))
}

/** Log out; raises ApiError where the session goes on. */
export async function logout() {
  await request("DELETE", "session")
  take({ login_required: true })
}

function take(told) {
  const nobody = { name: null, role: null, csrf: null, expires_at: null, login_required: false }
  Object.assign(session, nobody, told ?? {})
}
