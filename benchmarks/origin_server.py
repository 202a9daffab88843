"""The backend of the scenarios that nginx cannot play: streams, uploads, events and WebSockets; a script of its own process.

It does as little as it can: heads are not validated, since only the proxy under test speaks to it.

    python -m benchmarks.origin_server PORT
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import sys
import time
from email.utils import formatdate
from typing import cast

import uvloop

SMALL = (
    b'{"id":48213,"sku":"TEA-0042","name":"Assam, loose leaf","price":{"amount":"7.90","currency":"EUR"},'
    b'"stock":118,"updated":"2026-03-14T09:26:53Z"}'
)
GRAPHQL = (
    b'{"data":{"customer":{"id":"48213","name":"Ann","orders":[{"id":"9001","total":{"amount":"7.90","currency":"EUR"},'
    b'"items":[{"sku":"TEA-0042","name":"Assam, loose leaf","quantity":2}]}]}}}'
)
DOWNLOAD = b"0123456789abcdef" * 6400  # 100 KiB
CHUNK = b"x" * 65_536
PAUSES = 4
PAUSE_SECONDS = 1.0
NO_MASK = bytes(4)
EVENT_SECONDS = 0.1  # between two events of a stream
EVENT_DATA = b'{"sku":"TEA-0042","price":{"amount":"7.90","currency":"EUR"},"stock":118}'
EVENTS_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n"
)
WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


class Origin(asyncio.Protocol):
    """One connection: answers heads one after the other, or streams, counts, or echoes WebSocket frames."""

    def __init__(self, streams: set[asyncio.Transport]) -> None:
        self._streams = streams
        self._transport: asyncio.Transport
        self._buffer = b""
        self._receive = self._heads
        self._answers = 0
        self._writable = True
        self._to_send = 0
        self._to_receive = 0
        self._upload = 0
        self._pauses = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Send no more events."""
        del exc
        self._streams.discard(self._transport)

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
        elif target.startswith((b"/upload", b"/sink")):
            self._upload = self._to_receive = int(header(head, b"content-length"))
            self._pauses = target.startswith(b"/upload")
            self._receive = self._discard
            rest, self._buffer = self._buffer, b""
            self._discard(rest)
        elif target.startswith(b"/events"):
            self._transport.write(EVENTS_HEAD)
            self._streams.add(self._transport)
        elif header(head, b"upgrade"):
            self._receive = self._echo
            key = base64.b64encode(hashlib.sha1(header(head, b"sec-websocket-key") + WEBSOCKET_GUID).digest())
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
        """Count an upload's bytes; under /upload, stop reading now and then, so that a proxy that does not hold back shows."""
        quarter = max(1, self._upload // PAUSES)
        before, self._to_receive = self._to_receive, self._to_receive - len(data)
        if self._to_receive <= 0:
            self._receive = self._heads
            body = b'{"received":%d}' % (self._upload - self._to_receive)
            self._transport.write(self._head(b"application/json", len(body)) + body)
        elif self._pauses and before // quarter != self._to_receive // quarter:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._transport.resume_reading)

    def _echo(self, data: bytes) -> None:
        """Send masked frames back, unmasked (RFC 6455 section 5.2); a mask of zeros leaves nothing to do."""
        self._buffer += data
        out = bytearray()
        at = 0
        while (frame := frame_at(self._buffer, at)) is not None:
            start, end = frame
            mask = self._buffer[start - 4 : start]
            out += self._buffer[at : at + 1]
            out.append(self._buffer[at + 1] & 0x7F)
            out += self._buffer[at + 2 : start - 4]  # the longer forms of the length
            payload = self._buffer[start:end]
            out += (
                payload
                if mask == NO_MASK
                else bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
            )
            at = end
        if at:
            self._buffer = self._buffer[at:]
            self._transport.write(bytes(out))


def frame_at(buffer: bytes, at: int) -> tuple[int, int] | None:
    """Return where the payload of the frame at ``at`` begins and ends, or None while it is not there whole."""
    if len(buffer) < at + 2:
        return None
    length, start = buffer[at + 1] & 0x7F, at + 6
    if length > 125:
        wide = 2 if length == 126 else 8
        length, start = int.from_bytes(buffer[at + 2 : at + 2 + wide]), start + wide
    return (start, start + length) if len(buffer) >= start + length else None


def header(head: bytes, name: bytes) -> bytes:
    """Return the value of a header, by its name in lower case; empty where there is none."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return b""


def broadcast(streams: set[asyncio.Transport]) -> None:
    """Send every stream an event with the time, and go on doing so."""
    event = b"event: price\ndata: %d %b\n\n" % (time.monotonic_ns(), EVENT_DATA)
    chunk = b"%x\r\n%b\r\n" % (len(event), event)
    for stream in list(streams):
        stream.write(chunk)
    asyncio.get_running_loop().call_later(EVENT_SECONDS, broadcast, streams)


async def serve(port: int) -> None:
    """Answer on 127.0.0.1:``port`` until the process is ended."""
    streams: set[asyncio.Transport] = set()
    server = await asyncio.get_running_loop().create_server(
        lambda: Origin(streams), "127.0.0.1", port, backlog=4096
    )
    broadcast(streams)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        uvloop.run(serve(int(sys.argv[1])))
    except KeyboardInterrupt:
        sys.exit(0)
