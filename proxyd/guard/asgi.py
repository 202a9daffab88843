"""A guard around any ASGI application (Starlette, FastAPI, Django...)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from proxyd.guard.verify import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from proxyd.guard.verify import Guard

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MAX_BODY = 16 * 1024 * 1024  # bytes of a signed body, which is held until it is verified


class GuardedASGI:
    """Passes on what the guard lets in, HTTP and WebSocket; the rest gets 403.

    A signed body is read and verified before the application sees any of it.
    """

    def __init__(self, application: Application, guard: Guard, *, max_body: int = MAX_BODY) -> None:
        self._application = application
        self._guard = guard
        self._max_body = max_body

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        if scope["type"] not in {"http", "websocket"}:
            await self._application(scope, receive, send)
            return
        try:
            check_body = self._guard.check(scope.get("method", "GET"), _target(scope), _headers(scope))
            if check_body is not None and scope["type"] == "http":
                body = await _read(receive, self._max_body)
                check_body(body)
                receive = _replay(body, receive)
        except Refused as refused:
            await _refuse(scope, send, str(refused))
            return
        await self._application(scope, receive, send)


def _target(scope: MutableMapping[str, Any]) -> str:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return (path.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")


def _headers(scope: MutableMapping[str, Any]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        # Two of a kind are one value that is none: a copy beside ours is never chosen.
        headers[key] = (
            f"{headers[key]}, {value.decode('latin-1')}" if key in headers else value.decode("latin-1")
        )
    return headers


async def _read(receive: Receive, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused("the body is not complete")
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise Refused("the body is too large to verify")
        if not message.get("more_body"):
            return b"".join(pieces)


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again


async def _refuse(scope: MutableMapping[str, Any], send: Send, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
        return
    body = json.dumps({"message": f"Not through the gateway: {reason}"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
