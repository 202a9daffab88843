"""The proxy that one writes first in Python: an aiohttp handler and a ClientSession, streamed both ways.

python -m benchmarks.peers.aiohttp_app LISTEN_PORT ORIGIN_PORT [CERTIFICATE KEY]
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import TYPE_CHECKING

import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector, WSMsgType, web
from multidict import CIMultiDict
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientWebSocketResponse
    from multidict import CIMultiDictProxy

HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "host")
)
SESSION = web.AppKey("session", ClientSession)


def end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Return the headers without those of the connection."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP)


def application(origin: int) -> web.Application:
    """Return the application that passes every request on to 127.0.0.1:``origin``."""
    app = web.Application(client_max_size=0)
    base = f"http://127.0.0.1:{origin}"

    async def session(app: web.Application) -> AsyncIterator[None]:
        connector = TCPConnector(limit=0, keepalive_timeout=60)
        async with ClientSession(
            connector=connector, auto_decompress=False, timeout=ClientTimeout(total=None, sock_read=60)
        ) as app[SESSION]:
            yield

    async def forward(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await forward_messages(request, base)
        headers = end_to_end(request.headers)
        headers["X-Forwarded-For"] = request.remote or ""
        headers["X-Forwarded-Proto"] = request.scheme
        headers["X-Forwarded-Host"] = request.host
        async with request.app[SESSION].request(
            request.method,
            URL(base + request.raw_path, encoded=True),
            headers=headers,
            data=request.content if request.can_read_body else None,
            allow_redirects=False,
        ) as upstream:
            response = web.StreamResponse(status=upstream.status, headers=end_to_end(upstream.headers))
            await response.prepare(request)
            async for piece in upstream.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", forward)
    return app


async def forward_messages(request: web.Request, base: str) -> web.WebSocketResponse:
    """Join a WebSocket of the client to one of the backend, message by message."""
    down = web.WebSocketResponse(compress=False)
    await down.prepare(request)
    async with request.app[SESSION].ws_connect(URL(base + request.raw_path, encoded=True)) as up:
        upwards = asyncio.ensure_future(_pass_on(down, up))
        await _pass_on(up, down)
        upwards.cancel()
    return down


async def _pass_on(
    source: web.WebSocketResponse | ClientWebSocketResponse,
    target: web.WebSocketResponse | ClientWebSocketResponse,
) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)
    await target.close()


def _context(files: list[str]) -> ssl.SSLContext | None:
    if not files:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*files)
    return context


if __name__ == "__main__":
    uvloop.install()
    web.run_app(
        application(int(sys.argv[2])),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        ssl_context=_context(sys.argv[3:]),
        access_log=None,
        print=None,
        backlog=4096,
    )
