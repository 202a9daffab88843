"""The backend of subscriptions: a server of graphql-transport-ws that does as little as it can, a script of its own process.

Every ``EVENT_SECONDS`` it sends each subscription a result with the time; whatever else is asked has one answer.

    python -m benchmarks.graphql_origin PORT
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
import time
from typing import cast

import uvloop

from benchmarks.origin_server import EVENT_SECONDS, GRAPHQL, NO_MASK, WEBSOCKET_GUID, frame_at, header

RESULT = b'{"price":{"sku":"TEA-0042","amount":"7.90","currency":"EUR","at":"%d"}}'
PROTOCOL = b"graphql-transport-ws"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Origin(asyncio.Protocol):
    """One connection: answers requests, or holds subscriptions by their ids."""

    def __init__(self, subscribed: set[Origin]) -> None:
        self._subscribed = subscribed
        self._transport: asyncio.Transport
        self._buffer = b""
        self._socket = False
        self._ids: set[str] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Send no more results."""
        del exc
        self._subscribed.discard(self)

    def data_received(self, data: bytes) -> None:
        """Take heads, then messages."""
        self._buffer += data
        while not self._socket and b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            self._answer(head)
        if self._socket:
            self._messages()

    def publish(self, payload: bytes) -> None:
        """Send every subscription of this connection a result."""
        for identity in self._ids:
            self._send(b'{"id":"%b","type":"next","payload":{"data":%b}}' % (identity.encode(), payload))

    def _answer(self, head: bytes) -> None:
        if header(head, b"upgrade"):
            digest = hashlib.sha1(header(head, b"sec-websocket-key") + WEBSOCKET_GUID).digest()
            self._transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Protocol: %b\r\nSec-WebSocket-Accept: %b\r\n\r\n"
                % (PROTOCOL, base64.b64encode(digest))
            )
            self._socket = True
            return
        length = int(header(head, b"content-length") or b"0")
        self._buffer = self._buffer[length:]  # a body comes with its head here
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(GRAPHQL), GRAPHQL)
        )

    def _messages(self) -> None:
        at = 0
        while (frame := frame_at(self._buffer, at)) is not None:
            start, end = frame
            code, mask, payload = (
                self._buffer[at] & 0x0F,
                self._buffer[start - 4 : start],
                self._buffer[start:end],
            )
            if mask != NO_MASK:
                payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
            at = end
            if code == TEXT:
                self._message(json.loads(payload))
            elif code == PING:
                self._send(payload, PONG)
            elif code == CLOSE:
                self._transport.close()
        self._buffer = self._buffer[at:]

    def _message(self, message: dict[str, str]) -> None:
        kind = message["type"]
        if kind == "connection_init":
            self._send(b'{"type":"connection_ack"}')
        elif kind == "subscribe":
            self._ids.add(message["id"])
            self._subscribed.add(self)
        elif kind == "complete":
            self._ids.discard(message["id"])
        elif kind == "ping":
            self._send(b'{"type":"pong"}')

    def _send(self, payload: bytes, code: int = TEXT) -> None:
        length = len(payload)
        head = (
            bytes((0x80 | code, length)) if length < 126 else bytes((0x80 | code, 126)) + length.to_bytes(2)
        )
        self._transport.write(head + payload)


def publish(subscribed: set[Origin]) -> None:
    """Send every subscription a result with the time, and go on doing so."""
    payload = RESULT % time.monotonic_ns()
    for connection in list(subscribed):
        connection.publish(payload)
    asyncio.get_running_loop().call_later(EVENT_SECONDS, publish, subscribed)


async def serve(port: int) -> None:
    """Answer on 127.0.0.1:``port`` until the process is ended."""
    subscribed: set[Origin] = set()
    server = await asyncio.get_running_loop().create_server(
        lambda: Origin(subscribed), "127.0.0.1", port, backlog=4096
    )
    publish(subscribed)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        uvloop.run(serve(int(sys.argv[1])))
    except KeyboardInterrupt:
        sys.exit(0)
