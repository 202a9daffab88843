// GraphQL servers that nobody here wrote, on one port by their paths; ends when its standard input does.
//
//   /yoga    graphql-yoga: HTTP, SSE, multipart; WebSocket by graphql-ws
//   /http    graphql-http: HTTP only
//   /sse     graphql-sse: distinct connections, and single connection by its token
//   /legacy  subscriptions-transport-ws: WebSocket; HTTP by graphql-http
"use strict"

const http = require("node:http")
const { execute, subscribe } = require("graphql")
const { createHandler: httpHandler } = require("graphql-http/lib/use/http")
const { createHandler: sseHandler } = require("graphql-sse/lib/use/http")
const { useServer } = require("graphql-ws/use/ws")
const { createYoga } = require("graphql-yoga")
const { useDeferStream } = require("@graphql-yoga/plugin-defer-stream")
const { SubscriptionServer } = require("subscriptions-transport-ws")
const { WebSocketServer } = require("ws")
const { schema, closed } = require("./schema.cjs")

const quiet = { debug() {}, info() {}, warn() {}, error() {} }

const yoga = createYoga({
  schema,
  graphqlEndpoint: "/yoga",
  landingPage: false,
  graphiql: false,
  logging: quiet,
  batching: { limit: 5 },
  plugins: [useDeferStream()],
  context: ({ request }) => ({ headers: Object.fromEntries(request.headers) }),
})
const plain = httpHandler({ schema, context: ({ headers }) => ({ headers: headers_of(headers) }) })
const events = sseHandler({ schema, context: (request) => ({ headers: headers_of(request.headers) }) })

const handlers = { "/yoga": yoga, "/http": plain, "/sse": events, "/legacy": plain }

function headers_of(headers) {
  return typeof headers.entries === "function" ? Object.fromEntries(headers.entries()) : headers
}

const server = http.createServer((request, response) => {
  const { pathname } = new URL(request.url, "http://backend")
  const handler = handlers[pathname.startsWith("/sse") ? "/sse" : pathname]
  if (handler) return handler(request, response)
  response.writeHead(404).end()
})

const modern = new WebSocketServer({ noServer: true })
useServer(
  {
    schema,
    context: ({ extra, connectionParams }) => ({ headers: extra.request.headers, initial: connectionParams }),
  },
  modern,
)
const legacy = SubscriptionServer.create(
  {
    schema,
    execute,
    subscribe,
    onConnect: (initial, _socket, { request }) => ({ headers: request.headers, initial }),
    keepAlive: 5000,
  },
  { noServer: true },
).server

const sockets = { "/yoga": modern, "/legacy": legacy }

server.on("upgrade", (request, socket, head) => {
  const { pathname } = new URL(request.url, "http://backend")
  const taker = sockets[pathname]
  if (!taker) return socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n")
  taker.handleUpgrade(request, socket, head, (accepted) => {
    accepted.on("close", closed)
    taker.emit("connection", accepted, request)
  })
})

server.keepAliveTimeout = 60_000
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })))
process.stdin.on("end", () => process.exit()).resume()
