"""A backend of fixed capacity: so many requests at a time, each for so long, the others in line, in their order.

Like one with a pool of threads, it works for clients that have gone too. Requests are GETs without a body.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque

import uvloop

SERVERS = 50
SECONDS = 0.02
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'


class Pool:
    """The servers, and the line before them."""

    def __init__(self) -> None:
        self._free = SERVERS
        self._line: deque[Asked] = deque()
        self._loop = asyncio.get_running_loop()

    def ask(self, asked: Asked) -> None:
        """Stand in line."""
        if self._free:
            self._free -= 1
            self._loop.call_later(SECONDS, self._done, asked)
        else:
            self._line.append(asked)

    def _done(self, asked: Asked) -> None:
        asked.answer()
        if self._line:
            self._loop.call_later(SECONDS, self._done, self._line.popleft())
        else:
            self._free += 1


class Asked(asyncio.Protocol):
    """A connection, with one request at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: asyncio.BaseTransport | None = None
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take a request."""
        self._data += data
        if self._data.endswith(b"\r\n\r\n"):
            self._data = b""
            self._pool.ask(self)

    def answer(self) -> None:
        """Answer it, where anybody is there still."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(ANSWER)  # type: ignore[attr-defined]  # uvloop's is no asyncio.Transport


async def serve(port: int) -> None:
    """Listen on a loopback port, for ever."""
    pool = Pool()
    server = await asyncio.get_running_loop().create_server(
        lambda: Asked(pool), "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
