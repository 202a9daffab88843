"""The demo backend's WebSocket echo, and the end of all its WebSockets when it stops."""

from __future__ import annotations

import weakref

from aiohttp import WSCloseCode, WSMsgType, web

OPEN: web.AppKey[weakref.WeakSet[web.WebSocketResponse]] = web.AppKey("open", weakref.WeakSet)


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Send every message back as it came."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    request.app[OPEN].add(socket)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


async def close_all(app: web.Application) -> None:
    """Say goodbye on every open WebSocket, so that stopping does not wait for the clients."""
    sockets = app[OPEN]
    for socket in list(sockets):
        await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the backend stops")


def add_to(app: web.Application) -> None:
    """Add the endpoint to an application."""
    app[OPEN] = weakref.WeakSet()
    app.on_shutdown.append(close_all)
    app.router.add_get("/ws", echo)
