"""Idle connections to one peer, the last used first.

Last in, first out keeps the busy few warm and lets the rest run into their idle timeout. A connection that
was closed by the other side takes itself out, so what ``acquire`` returns was open a moment ago; whether a
request that meets a stale one may be tried again is decided by who sent it.
"""

from __future__ import annotations

import select
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxyd.upstream.connection import UpstreamConnection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxyd.clock import DeadlineWheel
    from proxyd.http1.parser import HeadLimits
    from proxyd.upstream.connector import Endpoint

    Dial = Callable[[Endpoint, Callable[[], UpstreamConnection], float], Awaitable[UpstreamConnection]]

# Seconds idle after which a connection is looked at before an unrepeatable request. Looking costs two
# microseconds, which busy connections are spared.
DOUBTFUL_AFTER: Final = 0.005
# Seconds for which a peer that closed a connection sooner than that, unannounced, gets unrepeatable requests over
# new connections only: no look is quick enough for the next close.
WARY_FOR: Final = 10.0


@dataclass(frozen=True)
class PoolLimits:
    """Kong's ``upstream_keepalive_*``."""

    size: int = 512  # idle connections kept
    max_requests: int = 10_000  # per connection; 0 is no limit
    idle_timeout: float = 60.0  # seconds; 0 is no limit


class Pool:
    """The connections to one peer."""

    __slots__ = (
        "_dial",
        "_heads",
        "_idle",
        "_wary_until",
        "_wheel",
        "closed",
        "endpoint",
        "limits",
        "open",
        "watcher",
    )

    def __init__(
        self, endpoint: Endpoint, dial: Dial, limits: PoolLimits, heads: HeadLimits, wheel: DeadlineWheel
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits
        self.closed = False
        self.open = 0
        self.watcher: Callable[[], None] | None = None  # hears of connections that have ended
        self._dial = dial
        self._wary_until = 0.0
        self._heads = heads
        self._wheel = wheel
        self._idle: list[UpstreamConnection] = []

    def __repr__(self) -> str:
        return f"<Pool {self.endpoint.host}:{self.endpoint.port} open={self.open} idle={len(self._idle)}>"

    # --- lending ---------------------------------------------------------------------------------------------

    def acquire(self, repeatable: bool) -> UpstreamConnection | None:
        """Take an idle connection, or None.

        A request that could not be sent again (``repeatable`` false) gets none that has become readable while it
        lay idle, as its end of stream may be waiting in the kernel, and none of a peer that closes hastily.
        """
        idle = self._idle
        if repeatable:
            return idle.pop() if idle else None
        now = self._wheel.now()
        while idle and now >= self._wary_until:
            connection = idle.pop()
            if now - connection.idle_since > DOUBTFUL_AFTER and _stale(connection):
                connection.close()
                continue
            return connection
        return None

    async def connect(self, timeout: float) -> UpstreamConnection:  # noqa: ASYNC109  # dial names what it was
        """Open a connection within ``timeout`` seconds; raises GatewayError."""
        return await self._dial(self.endpoint, self._make, timeout)

    def _make(self) -> UpstreamConnection:
        return UpstreamConnection(self, self._heads, self._wheel)

    # --- taking back -----------------------------------------------------------------------------------------

    def release(self, connection: UpstreamConnection) -> None:
        """Take a connection back whose exchange ended cleanly."""
        limits = self.limits
        if (
            self.closed
            or len(self._idle) >= limits.size
            or (limits.max_requests and connection.requests >= limits.max_requests)
        ):
            connection.close()
            return
        self._idle.append(connection)

    def forget(self, connection: UpstreamConnection) -> None:
        """Drop a connection that closed while idle."""
        if connection in self._idle:
            self._idle.remove(connection)
            now = self._wheel.now()
            if now - connection.idle_since < DOUBTFUL_AFTER:
                self._wary_until = now + WARY_FOR

    def lost(self) -> None:
        """Count a connection out."""
        self.open -= 1
        if self.watcher is not None:
            self.watcher()

    def retire(self) -> bool:
        """Close the connection that has been idle for longest; false where there is none."""
        if not self._idle:
            return False
        self._idle.pop(0).close()
        return True

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back."""
        self.closed = True
        while self._idle:
            self._idle.pop().close()


def _stale(connection: UpstreamConnection) -> bool:
    transport = connection.transport
    sock = transport.get_extra_info("socket")
    if sock is None:  # in memory, where the other side's end is known at once
        return transport.is_closing()
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
