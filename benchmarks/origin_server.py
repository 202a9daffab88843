"""The backend of the scenarios that nginx cannot play: streams, uploads and WebSockets; a script of its own process.

It does as little as it can: heads are not validated, since only the proxy under test speaks to it.

    python -m benchmarks.origin_server PORT
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import sys
from email.utils import formatdate
from typing import cast

import uvloop

SMALL = (
    b'{"id":48213,"sku":"TEA-0042","name":"Assam, loose leaf","price":{"amount":"7.90","currency":"EUR"},'
    b'"stock":118,"updated":"2026-03-14T09:26:53Z"}'
)
DOWNLOAD = b"0123456789abcdef" * 6400  # 100 KiB
CHUNK = b"x" * 65_536
PAUSES = 4
PAUSE_SECONDS = 1.0
WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


class Origin(asyncio.Protocol):
    """One connection: answers heads one after the other, or streams, counts, or echoes WebSocket frames."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._buffer = b""
        self._receive = self._heads
        self._answers = 0
        self._writable = True
        self._to_send = 0
        self._to_receive = 0
        self._upload = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand the bytes to whatever the connection is doing now."""
        self._receive(data)

    def pause_writing(self) -> None:
        """Hold a stream back while the proxy does not read."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on with a stream."""
        self._writable = True
        self._pump()

    def _heads(self, data: bytes) -> None:
        self._buffer += data
        while self._receive == self._heads and b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        target = head.split(b" ", 2)[1]
        if target.startswith(b"/stream/"):
            self._to_send = int(target.rpartition(b"/")[2])
            self._transport.write(self._head(b"application/octet-stream", self._to_send))
            self._pump()
        elif target.startswith(b"/upload"):
            self._upload = self._to_receive = int(_header(head, b"content-length"))
            self._receive = self._discard
            rest, self._buffer = self._buffer, b""
            self._discard(rest)
        elif _header(head, b"upgrade"):
            self._receive = self._echo
            key = base64.b64encode(
                hashlib.sha1(_header(head, b"sec-websocket-key") + WEBSOCKET_GUID).digest()
            )
            self._transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + key + b"\r\n\r\n"
            )
        elif target.startswith(b"/download"):
            self._transport.write(self._head(b"application/octet-stream", len(DOWNLOAD)) + DOWNLOAD)
        else:
            self._transport.write(self._head(b"application/json", len(SMALL)) + SMALL)

    def _head(self, kind: bytes, length: int) -> bytes:
        self._answers += 1
        return (
            b"HTTP/1.1 200 OK\r\nServer: origin\r\nDate: %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n"
            b'ETag: "%x-%x"\r\nCache-Control: private, max-age=60\r\nVary: Accept-Encoding\r\n\r\n'
        ) % (formatdate(usegmt=True).encode(), kind, length, id(self), self._answers)

    def _pump(self) -> None:
        while self._to_send and self._writable:
            piece = CHUNK[: self._to_send]
            self._to_send -= len(piece)
            self._transport.write(piece)

    def _discard(self, data: bytes) -> None:
        """Count an upload's bytes, and stop reading now and then, so that a proxy that does not hold back shows."""
        quarter = max(1, self._upload // PAUSES)
        before, self._to_receive = self._to_receive, self._to_receive - len(data)
        if self._to_receive <= 0:
            self._receive = self._heads
            body = b'{"received":%d}' % (self._upload - self._to_receive)
            self._transport.write(self._head(b"application/json", len(body)) + body)
        elif before // quarter != self._to_receive // quarter:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._transport.resume_reading)

    def _echo(self, data: bytes) -> None:
        """Send a masked text frame of fewer than 126 bytes back, unmasked (RFC 6455 section 5.2)."""
        self._buffer += data
        while len(self._buffer) >= 6 and len(self._buffer) >= (size := 6 + (self._buffer[1] & 0x7F)):
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            mask, payload = frame[2:6], frame[6:]
            plain = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
            self._transport.write(bytes((frame[0], len(plain))) + plain)


def _header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return b""


async def serve(port: int) -> None:
    """Answer on 127.0.0.1:``port`` until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Origin, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        uvloop.run(serve(int(sys.argv[1])))
    except KeyboardInterrupt:
        sys.exit(0)
