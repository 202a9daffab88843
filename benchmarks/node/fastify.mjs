// @fastify/http-proxy as its documentation shows it: node fastify.mjs LISTEN_PORT ORIGIN_PORT
import proxy from '@fastify/http-proxy'
import Fastify from 'fastify'

const [listen, origin] = process.argv.slice(2).map(Number)
const app = Fastify({ logger: false, keepAliveTimeout: 60_000, bodyLimit: 1 << 30 })

await app.register(proxy, {
  upstream: `http://127.0.0.1:${origin}`,
  websocket: true,
  undici: { connections: 2048, pipelining: 1 },
  replyOptions: {
    rewriteRequestHeaders: (request, headers) => ({
      ...headers,
      'x-forwarded-for': request.ip,
      'x-forwarded-proto': request.protocol,
      'x-forwarded-host': request.headers.host,
    }),
  },
})

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0))
await app.listen({ port: listen, host: '127.0.0.1', backlog: 4096 })
