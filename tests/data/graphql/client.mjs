// One GraphQL client that nobody here wrote does one thing: node client.mjs KIND '{"url": …, "query": …}'
//
// Prints a line of JSON for whatever happens: {"next": result}, {"error": what}, {"complete": true}, {"closed": code}.
// Ends when that is over, or when its standard input ends. "requests" stands for operations side by side: each line
// has its number then.

import { WebSocket } from "ws"

const [, , kind, text] = process.argv
const spec = JSON.parse(text)
const requests = spec.requests ?? [spec]
const tell = (what) => console.log(JSON.stringify(what))

function watcher(number, done) {
  const mark = spec.requests ? { number } : {}
  return {
    next: (result) => tell({ ...mark, next: result }),
    error: (error) => (tell({ ...mark, error: readable(error) }), done()),
    complete: () => (tell({ ...mark, complete: true }), done()),
  }
}

// GraphQL errors come as a list, closing frames as an event, the rest as an Error.
function readable(error) {
  if (Array.isArray(error)) return error
  if (error?.code !== undefined && error?.reason !== undefined) return { code: error.code, reason: error.reason }
  return { name: error?.name, message: error?.message ?? String(error), status: error?.response?.status }
}

// A WebSocket that sends headers with its upgrade, as clients outside of browsers do.
class Socket extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { headers: spec.headers ?? {} })
  }
}

const all = (each) => Promise.all(requests.map((request, number) => new Promise((done) => each(request, watcher(number, done)))))

async function ws() {
  const { createClient } = await import("graphql-ws")
  const client = createClient({
    url: spec.url,
    webSocketImpl: Socket,
    connectionParams: spec.initial,
    retryAttempts: spec.retries ?? 0,
    keepAlive: spec.keepAlive ?? 0,
    lazy: true,
    on: {
      connected: (_socket, payload) => tell({ connected: payload ?? null }),
      closed: (event) => tell({ closed: event.code, reason: event.reason }),
      pong: () => tell({ pong: true }),
    },
    shouldRetry: () => Boolean(spec.retries),
  })
  await all((request, sink) => client.subscribe(operation(request), sink))
  await client.dispose()
}

async function sse() {
  const { createClient } = await import("graphql-sse")
  const client = createClient({
    url: spec.url,
    headers: spec.headers,
    singleConnection: Boolean(spec.single),
    retryAttempts: 0,
  })
  await all((request, sink) => client.subscribe(operation(request), sink))
  client.dispose()
}

async function legacy() {
  const { default: { SubscriptionClient } } = await import("subscriptions-transport-ws")
  const client = new SubscriptionClient(spec.url, { connectionParams: spec.initial, reconnect: false }, Socket)
  client.onConnected((payload) => tell({ connected: payload ?? null }))
  const closed = new Promise((done) => client.client.addEventListener("close", (event) => {
    tell({ closed: event.code, reason: event.reason })
    done()
  }))
  await Promise.race([closed, all((request, sink) => client.request(operation(request)).subscribe(sink))])
  client.close()
}

// Apollo Client: persisted queries over HTTP, subscriptions over WebSockets, deferred parts by multipart answers.
async function apollo() {
  const { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } = await import("@apollo/client")
  const { PersistedQueryLink } = await import("@apollo/client/link/persisted-queries")
  const { Defer20220824Handler } = await import("@apollo/client/incremental")
  const { createHash } = await import("node:crypto")
  const sha256 = (document) => createHash("sha256").update(document).digest("hex")
  const watched = async (uri, options) => {
    const response = await fetch(uri, options)
    const asked = options.body ? JSON.parse(options.body) : Object.fromEntries(new URL(uri).searchParams)
    tell({ method: options.method, query: "query" in asked, status: response.status, type: response.headers.get("content-type") })
    return response
  }
  const links = [new HttpLink({ uri: spec.url, headers: spec.headers, fetch: watched, useGETForQueries: Boolean(spec.get) })]
  if (spec.persisted) links.unshift(new PersistedQueryLink({ sha256, useGETForHashedQueries: Boolean(spec.get) }))
  const client = new ApolloClient({
    link: ApolloLink.from(links),
    cache: new InMemoryCache(),
    incrementalHandler: new Defer20220824Handler(),
    clientAwareness: { name: "tests", version: "1" },
  })
  for (const [number, request] of requests.entries()) {
    const sink = watcher(number, () => {})
    const { variables } = request
    try {
      const document = gql(request.query)
      if (document.definitions[0].operation === "mutation") {
        sink.next(await client.mutate({ mutation: document, variables, fetchPolicy: "no-cache" }))
      } else if (spec.deferred) {
        await new Promise((done, fail) => client
          .watchQuery({ query: document, variables, fetchPolicy: "network-only", notifyOnNetworkStatusChange: true })
          .subscribe({
            next: (result) => {
              if (result.data) sink.next({ data: result.data, state: result.dataState })
              if (result.dataState === "complete" && !result.loading) done()
            },
            error: fail,
          }))
      } else {
        sink.next(await client.query({ query: document, variables, fetchPolicy: "no-cache" }))
      }
      sink.complete()
    } catch (error) {
      sink.error(error.errors ?? error)
    }
  }
  client.stop()
}

async function audits() {
  const { serverAudits } = await import("graphql-http")
  const fetchFn = (url, options) => fetch(url, { ...options, headers: { ...options?.headers, ...spec.headers } })
  for (const { id, name, fn } of serverAudits({ url: spec.url, fetchFn })) {
    const result = await fn()
    tell({ id, name, status: result.status, reason: result.reason ?? null })
    await result.response?.text?.().catch(() => {})
  }
}

const operation = ({ query, variables, operationName, extensions }) => ({ query, variables, operationName, extensions })

process.stdin.on("end", () => process.exit()).resume()
await { ws, sse, legacy, apollo, audits }[kind]()
process.exit()
