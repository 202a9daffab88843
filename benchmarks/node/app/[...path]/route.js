// The route handler that stands in for a gateway in many a Next.js application: every request is fetched anew.
export const dynamic = 'force-dynamic'

const origin = `http://127.0.0.1:${process.env.ORIGIN_PORT}`
const hopByHop = ['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'host', 'content-length']

async function forward(request) {
  const url = new URL(request.url)
  const headers = new Headers(request.headers)
  for (const name of hopByHop) headers.delete(name)
  const hasBody = request.method !== 'GET' && request.method !== 'HEAD'
  const answer = await fetch(origin + url.pathname + url.search, {
    method: request.method,
    headers,
    body: hasBody ? request.body : undefined,
    duplex: 'half',
    redirect: 'manual',
    cache: 'no-store',
  })
  const received = new Headers(answer.headers)
  for (const name of ['connection', 'keep-alive', 'transfer-encoding']) received.delete(name)
  return new Response(answer.body, { status: answer.status, headers: received })
}

export { forward as DELETE, forward as GET, forward as HEAD, forward as PATCH, forward as POST, forward as PUT }
