"""Accepting connections that begin with a PROXY header, before anything else is made of them.

The header is taken from the socket byte for byte as far as it goes, so that what follows, TLS or HTTP, is there
for the event loop as on any other connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from proxyd.downstream.proxy_protocol import MAX_BLOCK, PrefaceError, PrefaceReader
from proxyd.downstream.sockets import accept
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from proxyd.downstream.listener import Connections
    from proxyd.downstream.proxy_protocol import Source

BATCH = 64  # connections accepted before others get their turn
PAUSE = 1.0  # seconds without accepting, when the process has no more descriptors

log = get_logger("listener")


class Gate:
    """A listening socket whose connections are read for their header, and then made by ``factory``."""

    def __init__(
        self,
        sock: socket.socket,
        factory: Callable[[Source], asyncio.Protocol],
        connections: Connections,
        tls: ssl.SSLContext | None,
        timeout: float,
    ) -> None:
        self.sock = sock
        self._factory = factory
        self._connections = connections
        self._tls = tls
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[_Preface, None] = {}  # in the order in which they came
        self._opening: set[asyncio.Task[None]] = set()
        self._resume: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Gate waiting={len(self._waiting)} opening={len(self._opening)}>"

    @property
    def entering(self) -> int:
        """Connections that were accepted and not made yet."""
        return len(self._waiting) + len(self._opening)

    def start(self, backlog: int) -> None:
        """Listen; raises OSError."""
        self.sock.listen(backlog)
        self._loop.add_reader(self.sock.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(BATCH):
            try:
                sock, _ = self.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("cannot accept", reason=str(error))  # noqa: TRY400  # no traceback
                self._loop.remove_reader(self.sock.fileno())
                self._resume = self._loop.call_later(
                    PAUSE, self._loop.add_reader, self.sock.fileno(), self._accept
                )
                return
            self._let_in(sock)

    def _let_in(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if len(self._waiting) >= self._connections.limit > 0:
            next(iter(self._waiting)).close()
        self._waiting[_Preface(self, sock)] = None

    # --- called by connections -------------------------------------------------------------------------------

    def watch(self, preface: _Preface) -> None:
        """Give it its time, and hear when it has something to read."""
        wheel = self._connections.wheel
        wheel.watch(preface, wheel.now() + self._timeout)
        self._loop.add_reader(preface.sock.fileno(), preface.readable)

    def ended(self, preface: _Preface) -> None:
        """Hear no more of it."""
        self._waiting.pop(preface, None)
        self._loop.remove_reader(preface.sock.fileno())

    def refused(self, error: PrefaceError) -> None:
        """Hear that it began with something else."""
        self._connections.malformed += 1
        log.info("connection refused", reason=str(error))

    def complete(self, sock: socket.socket, source: Source) -> None:
        """Make the connection."""
        task = self._loop.create_task(self._open(sock, source))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, sock: socket.socket, source: Source) -> None:
        try:
            with contextlib.suppress(OSError):  # the client is gone, or its handshake failed
                await self._loop.connect_accepted_socket(
                    lambda: self._factory(source),
                    sock,
                    ssl=self._tls,
                    ssl_handshake_timeout=self._timeout if self._tls is not None else None,
                )
                return
            sock.close()
        except asyncio.CancelledError:
            sock.close()
            raise

    # --- the end ---------------------------------------------------------------------------------------------

    def close(self, *, last: bool) -> None:
        """Stop accepting; the ``last`` who has the socket takes what waits in its queue, or it would be reset."""
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self.sock.fileno())
        if last:
            while (sock := accept(self.sock)) is not None:
                self._let_in(sock)
        self.sock.close()

    def abort(self) -> None:
        """Cut what has not become a connection."""
        for preface in list(self._waiting):
            preface.close()
        for task in list(self._opening):
            task.cancel()


class _Preface:
    """A connection whose header has not come whole; watched by the wheel."""

    __slots__ = ("_gate", "_reader", "deadline", "slot", "sock")

    def __init__(self, gate: Gate, sock: socket.socket) -> None:
        self.sock = sock
        self.deadline = 0.0
        self.slot = 0
        self._gate = gate
        self._reader = PrefaceReader()
        gate.watch(self)

    def readable(self) -> None:
        """Take what has come of the header, and nothing behind it."""
        try:
            data = self.sock.recv(MAX_BLOCK, socket.MSG_PEEK)
            if not data:
                self.close()
                return
            self.sock.recv(self._reader.feed(data))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        except PrefaceError as error:
            self._gate.refused(error)
            self.close()
            return
        source = self._reader.source
        if source is not None:
            self.deadline = 0.0
            self._gate.ended(self)
            self._gate.complete(self.sock, source)

    def deadline_passed(self) -> None:
        """End it: the header has not come in time."""
        self.close()

    def close(self) -> None:
        """End it."""
        self.deadline = 0.0
        self._gate.ended(self)
        self.sock.close()
