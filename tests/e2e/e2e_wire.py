"""The two ends that tests hold themselves: a raw client and a raw origin, both over one kind of wire.

A ``Wire`` is a socket that is read only when a test says so, and keeps every byte that it has received. The
script of an ``Origin`` runs once for each connection, and sees exactly what the gateway sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PATIENCE = 10.0  # seconds after which something that should have come is missing
BLOCK = 64 * 1024

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Message:
    """A request or an answer as it stood on the wire; ``chunks`` are the payloads of a chunked body."""

    start: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.start.split(" ")[1])

    @property
    def names(self) -> list[str]:
        return [name.lower() for name, _ in self.fields]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))


def parse_head(head: bytes) -> Message:
    start, *lines = head.decode("latin-1").split("\r\n")
    return Message(start, _pairs(lines))


def _pairs(lines):
    return [
        (name, value.strip()) for name, mark, value in (line.partition(":") for line in lines if line) if mark
    ]


class Wire:
    """One end of a connection. Whatever waits gives up after ``PATIENCE`` seconds."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._data = bytearray()
        self._taken = 0

    def __repr__(self) -> str:
        return f"<Wire {self._pending()[-200:]!r}>"

    @property
    def received(self) -> bytes:
        """Everything that has come, whether a test has read it or not; not what was discarded."""
        return bytes(self._data)

    def _pending(self) -> bytes:
        return bytes(self._data[self._taken :])

    # --- sending

    async def send(self, *pieces: bytes, pause: float = 0.0) -> None:
        """Send each piece as a segment of its own, with ``pause`` seconds between them."""
        loop = asyncio.get_running_loop()
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(pause)
            async with asyncio.timeout(PATIENCE):
                await loop.sock_sendall(self.sock, piece)

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close so that the other side sees a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    # --- receiving

    async def _more(self) -> bool:
        data = await asyncio.get_running_loop().sock_recv(self.sock, BLOCK)
        self._data += data
        return bool(data)

    def _take(self, end: int) -> bytes:
        data = bytes(self._data[self._taken : end])
        self._taken = end
        return data

    async def until(self, mark: bytes) -> bytes:
        """Return what comes up to and with ``mark``."""
        async with asyncio.timeout(PATIENCE):
            start = self._taken
            while (found := self._data.find(mark, start)) < 0:
                start = max(self._taken, len(self._data) - len(mark) + 1)
                if not await self._more():
                    raise EOFError(f"end of stream before {mark!r}: {self._pending()!r}")
        return self._take(found + len(mark))

    async def exactly(self, count: int) -> bytes:
        async with asyncio.timeout(PATIENCE):
            while len(self._data) - self._taken < count:
                if not await self._more():
                    raise EOFError(f"end of stream before {count} bytes: {self._pending()!r}")
        return self._take(self._taken + count)

    async def rest(self) -> bytes:
        """Return everything up to the end of the stream; a reset is an end too."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                while await self._more():
                    pass
        return self._take(len(self._data))

    async def discard(self, count: int, seen: Callable[[int], None] | None = None) -> bytes:
        """Read ``count`` bytes without keeping them, and return the last; ``seen`` hears of each piece."""
        loop = asyncio.get_running_loop()
        last = self._take(len(self._data))
        left = count - len(last)
        while left > 0:
            async with asyncio.timeout(PATIENCE):
                last = await loop.sock_recv(self.sock, min(left, BLOCK))
            if not last:
                raise EOFError(f"end of stream with {left} bytes to come")
            left -= len(last)
            if seen is not None:
                seen(len(last))
        return last

    async def silent(self, seconds: float) -> bool:
        """Tell whether nothing comes for a while, the end of the stream included."""
        if self._taken < len(self._data):
            return False
        try:
            async with asyncio.timeout(seconds):
                await self._more()
        except TimeoutError:
            return True
        return False

    async def head(self) -> Message:
        return parse_head(await self.until(b"\r\n\r\n"))

    async def body(self, message: Message) -> Message:
        """Read the body that a head announces, into the message; for an answer without a length, all of it."""
        if "transfer-encoding" in message.names:
            await self._chunked(message)
        elif "content-length" in message.names:
            message.body = await self.exactly(int(message["content-length"]))
        elif message.start.startswith("HTTP/"):
            message.body = await self.rest()
        return message

    async def _chunked(self, message: Message) -> None:
        while size := int((await self.until(b"\r\n")).split(b";")[0], 16):
            message.chunks.append(await self.exactly(size))
            assert await self.exactly(2) == b"\r\n"
        lines = []
        while (line := await self.until(b"\r\n")) != b"\r\n":
            lines.append(line.decode("latin-1").strip())
        message.trailers = _pairs(lines)
        message.body = b"".join(message.chunks)

    async def message(self, *, bodiless: bool = False) -> Message:
        """Read a request or an answer whole; ``bodiless`` is for the answer to HEAD, and 204 and 304."""
        message = await self.head()
        if bodiless or re.match(r"HTTP/1\.[01] (1\d\d|204|304)", message.start):
            return message
        return await self.body(message)

    async def ask(self, request: bytes) -> Message:
        """Send a request and read its answer."""
        await self.send(request)
        return await self.message(bodiless=request.startswith(b"HEAD "))


async def connect(port: int, host: str = "127.0.0.1", *, receive_buffer: int = 0) -> Wire:
    """Open a connection; a small ``receive_buffer`` in bytes makes a client that does not read felt early."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    return Wire(sock)


class Origin:
    """A raw server. ``script`` is run for each connection; bytes are the answer to every request.

    ``wires`` are the connections in the order in which they came, ``requests`` the messages that ``answer``
    has read, on whatever connection.
    """

    def __init__(self, script: bytes | Callable[[Wire], Awaitable[None]], receive_buffer: int = 0) -> None:
        self.wires: list[Wire] = []
        self.requests: list[Message] = []
        self._script = script
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.listen(128)
        self.port: int = self._sock.getsockname()[1]
        self._tasks = [asyncio.ensure_future(self._accept())]
        self._arrived = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def bytes(self) -> bytes:
        """Everything that was received, connection after connection."""
        return b"".join(wire.received for wire in self.wires)

    async def wire(self, number: int = 0) -> Wire:
        """Return a connection, waiting until it has come."""
        async with asyncio.timeout(PATIENCE):
            while len(self.wires) <= number:
                self._arrived.clear()
                await self._arrived.wait()
        return self.wires[number]

    async def request(self, number: int = 0) -> Message:
        """Return a request that ``answer`` has read, waiting until it has come."""
        async with asyncio.timeout(PATIENCE):
            while len(self.requests) <= number:
                self._arrived.clear()
                await self._arrived.wait()
        return self.requests[number]

    async def answer(self, wire: Wire, answer: bytes = OK) -> None:
        """Read requests and answer each with the same bytes, until the other side has no more."""
        with contextlib.suppress(EOFError):
            while True:
                self.requests.append(await wire.message())
                self._arrived.set()
                await wire.send(answer)

    async def _accept(self) -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(self._sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = Wire(sock)
            self.wires.append(wire)
            self._arrived.set()
            self._tasks.append(asyncio.ensure_future(self._run(wire)))

    async def _run(self, wire: Wire) -> None:
        if isinstance(self._script, bytes):
            with contextlib.suppress(ConnectionError, TimeoutError):
                await self.answer(wire, self._script)
            wire.close()
        else:
            with contextlib.suppress(ConnectionError):
                await self._script(wire)

    def stop_listening(self) -> None:
        """Refuse further connections; those that there are stay."""
        self._tasks[0].cancel()
        self._sock.close()

    async def stop(self) -> None:
        """Close everything, and fail with what a script failed with."""
        for task in self._tasks:
            task.cancel()
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._sock.close()
        for wire in self.wires:
            wire.close()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
