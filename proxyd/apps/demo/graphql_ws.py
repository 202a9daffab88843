"""GraphQL over WebSocket for the demo backend: the ``graphql-transport-ws`` subprotocol, server side."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web
from graphql import ExecutionResult

from proxyd.apps.demo import schema
from proxyd.apps.demo.orders import ORDERS
from proxyd.apps.demo.sockets import OPEN

if TYPE_CHECKING:
    from proxyd.apps.demo.orders import Orders

SUBPROTOCOL = "graphql-transport-ws"
INIT_TIMEOUT = 10.0  # seconds in which a client must have said connection_init
MAX_OPERATIONS = 100  # at once, on one connection


class Violation(Exception):  # noqa: N818 -- the client is at fault, nothing broke
    """The client broke the subprotocol; the connection is closed with ``code``."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def new_socket() -> web.WebSocketResponse:
    """Return the server's side of a handshake that offers the subprotocol."""
    return web.WebSocketResponse(protocols=(SUBPROTOCOL,))


async def serve(request: web.Request) -> web.WebSocketResponse:
    """Carry one connection from its handshake to its end."""
    socket = new_socket()
    await socket.prepare(request)
    request.app[OPEN].add(socket)
    try:
        await Session(socket, request.app[ORDERS]).run()
    except Violation as violation:
        await socket.close(code=violation.code, message=str(violation).encode())
    return socket


class Session:
    """One connection: the handshake of messages, then operations by id."""

    def __init__(self, socket: web.WebSocketResponse, orders: Orders) -> None:
        self._socket = socket
        self._orders = orders
        self._operations: dict[str, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<Session operations={sorted(self._operations)}>"

    async def run(self) -> None:
        """Serve until the client is gone; raises Violation."""
        await self._initialise()
        async with asyncio.TaskGroup() as group:
            violation = await self._converse(group)
            for task in self._operations.values():
                task.cancel()
        if violation:
            raise violation

    async def _initialise(self) -> None:
        if self._socket.ws_protocol != SUBPROTOCOL:
            raise Violation(4406, "Subprotocol not acceptable")
        try:
            async with asyncio.timeout(INIT_TIMEOUT):
                message = await self._receive()
                while message and message["type"] == "ping":
                    await self._send("pong")
                    message = await self._receive()
        except TimeoutError:
            raise Violation(4408, "Connection initialisation timeout") from None
        if message:
            if message["type"] != "connection_init":
                raise Violation(4401, "Unauthorized")
            await self._send("connection_ack")

    async def _converse(self, group: asyncio.TaskGroup) -> Violation | None:
        """Act on messages until the connection ends; return why, if the client is to blame."""
        try:
            while message := await self._receive():
                await self._act(message, group)
        except Violation as violation:
            return violation
        return None

    async def _act(self, message: dict[str, Any], group: asyncio.TaskGroup) -> None:
        kind, key = message["type"], message.get("id")
        if kind == "ping":
            await self._send("pong")
        elif kind == "subscribe" and isinstance(key, str) and key:
            if key in self._operations:
                raise Violation(4409, f"Subscriber for {key} already exists")
            if len(self._operations) >= MAX_OPERATIONS:
                raise Violation(4400, "too many operations at once")
            self._operations[key] = group.create_task(self._operate(key, message.get("payload")))
        elif kind == "complete" and isinstance(key, str):
            if task := self._operations.pop(key, None):
                task.cancel()
        elif kind == "connection_init":
            raise Violation(4429, "Too many initialisation requests")
        elif kind != "pong":
            raise Violation(4400, "Invalid message")

    async def _operate(self, key: str, payload: Any) -> None:
        """Execute one operation and send what comes of it; cancelled when the client completes it."""
        try:
            outcome = await schema.run(schema.Operation.of(payload), self._orders)
            if isinstance(outcome, ExecutionResult):
                await self._send("next", id=key, payload=outcome.formatted)
            else:
                async with aclosing(outcome) as results:  # type: ignore[type-var]
                    async for result in results:
                        await self._send("next", id=key, payload=result.formatted)
            await self._send("complete", id=key)
        except schema.InvalidOperation as invalid:
            await self._send("error", id=key, payload=[error.formatted for error in invalid.errors])
        finally:
            if self._operations.get(key) is asyncio.current_task():
                del self._operations[key]

    async def _receive(self) -> dict[str, Any] | None:
        """Return the next message, None at the end; raises Violation for what is not a message."""
        received = await self._socket.receive()
        if received.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
            return None
        try:
            message = received.json()
        except (ValueError, TypeError):
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise Violation(4400, "Invalid message")
        return message

    async def _send(self, kind: str, **fields: Any) -> None:
        if not self._socket.closed:
            try:
                await self._socket.send_json({"type": kind, **fields})
            except ConnectionError:
                return  # the client is gone, which receiving will notice
