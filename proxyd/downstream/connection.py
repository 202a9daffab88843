"""One client connection as a stream: writing, pausing, lingering, closing, and the time that each may take.

What the bytes mean is the business of ``protocol``, whose ``Downstream`` is this with requests in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import termios
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from proxyd.http1.parser import HeadLimits  # noqa: TC001  # a compiled dataclass needs its types

if TYPE_CHECKING:
    import asyncio

    from proxyd.clock import Watched
    from proxyd.downstream.listener import Connections
    from proxyd.downstream.proxy_protocol import Source
    from proxyd.exchange import Client

AT_ONCE: Final = 1.0  # seconds in which the loop reads what the kernel has
LINGER_LIMIT: Final = 256 * 1024  # bytes of a body read over before a connection is closed under it


@dataclass(frozen=True)
class Limits:
    """How long and how much a client may take; seconds and bytes, 0 is no limit."""

    heads: HeadLimits
    body_size: int
    header_timeout: float
    body_timeout: float
    send_timeout: float
    keepalive_timeout: float
    keepalive_requests: int
    lingering_timeout: float


class ClientConnection:
    """A client's connection, without what is said over it. ``client`` is known once it is made."""

    __slots__ = (
        "_closing",
        "_connections",
        "_held",
        "_limits",
        "_lingering",
        "_paused",
        "_transport",
        "_wheel",
        "_writable",
        "client",
        "deadline",
        "slot",
        "source",
    )

    def __init__(self, connections: Connections, limits: Limits, source: Source | None = None) -> None:
        self.client: Client
        self.source = source  # what a PROXY header said
        self.deadline = 0.0
        self.slot = 0
        self._connections = connections
        self._limits = limits
        self._wheel = connections.wheel
        self._transport: asyncio.Transport
        self._held = b""
        self._paused = False
        self._writable = True
        self._closing = False
        self._lingering = 0  # bytes that are still read over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin life."""
        self._transport = cast("asyncio.Transport", transport)

    def deadline_passed(self) -> None:
        """Act on a client that has not done in time what was expected of it: nothing more is."""
        if self._closing or not self._writable:
            self._reset_on_close()  # or the kernel would keep the answer, megabytes of it, for whoever does not take it
            self._transport.abort()
        else:
            self.close()

    def watch(self, thing: Watched, deadline: float) -> None:
        """Have something called at a time, for whoever answers."""
        self._wheel.watch(thing, deadline)

    def _within(self, seconds: float) -> None:
        """Expect something to happen within a time."""
        self._wheel.watch(self, self._wheel.now() + seconds)

    def _await_request(self, since: float) -> None:
        """Expect another request. While draining too: a head may have said so before that began."""
        connections = self._connections
        seconds = connections.grace if connections.draining else self._limits.keepalive_timeout
        self._wheel.watch(self, since + seconds)

    @property
    def awaited_since(self) -> float:
        """Since when a head is being waited for, where one is."""
        return self.deadline - self._limits.header_timeout

    # --- writing ---------------------------------------------------------------------------------------------

    def hold(self, data: bytes) -> None:
        """Send bytes together with those behind them."""
        self._held = self._held + data if self._held else data

    def flush(self) -> None:
        """Send what is held."""
        if self._held:
            held, self._held = self._held, b""
            if not self._closing:
                self._transport.write(held)

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._held:
            data = self._held + data
            self._held = b""
        if not self._closing:
            self._transport.write(data)

    def write_informational(self, head: bytes) -> None:
        """Send a 1xx head."""
        if not self._closing:
            self._transport.write(head)

    # --- pausing ---------------------------------------------------------------------------------------------

    def _pause_reading(self) -> None:
        if not self._paused and not self._closing:
            self._paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._paused and not self._closing:
            self._paused = False
            self._transport.resume_reading()

    # --- closing ---------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close, after what was written has gone out."""
        if not self._closing:
            self._closing = True
            # A client that takes nothing must not keep a closed connection's bytes for ever.
            self._within(self._limits.send_timeout)
            self._transport.close()

    def _close_idle(self) -> None:
        """Close, unless a request has come in this moment."""
        if self._unread():
            self._within(AT_ONCE)
        else:
            self.close()

    def cut(self) -> None:
        """Close at once, whatever is under way."""
        self._transport.abort()

    def _reset_on_close(self) -> None:
        """See that the kernel closes with RST and not with FIN (SO_LINGER of 0 seconds)."""
        descriptor = self._transport.get_extra_info("socket").fileno()
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as alias:
            alias.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _unread(self) -> bool:
        """Tell whether the kernel has bytes of the client that the loop has not read yet."""
        own = self._transport.get_extra_info("socket")
        if own is None:
            return False
        try:
            return any(fcntl.ioctl(own.fileno(), termios.FIONREAD, bytes(4)))
        except (OSError, ValueError):
            return False

    def _linger(self) -> None:
        """Close our side, and read over what the client still sends, so that it gets to read the answer.

        Closing a socket with unread bytes resets it, and the reset may overtake the answer.
        """
        self._lingering = self._lingering or LINGER_LIMIT
        self._resume_reading()
        if not self._closing and self._transport.can_write_eof():
            self._transport.write_eof()
        self._within(self._limits.lingering_timeout)

    def _read_over(self, count: int) -> None:
        self._lingering -= count
        if self._lingering <= 0:
            self.close()
