"""One connection to an upstream: the HTTP/1.1 client side.

It carries one exchange at a time for its *owner*, the relay, which hears of heads, bytes and the end. What
the upstream sends beyond an answer's end, or while nobody has asked, is never given to anyone: the
connection is closed instead of pooled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, cast

from proxyd.errors import GatewayError, Kind, ProtocolError
from proxyd.http1 import framing
from proxyd.http1.message import SWITCHING
from proxyd.http1.parser import HeadLimits, parse_response

if TYPE_CHECKING:
    import asyncio

    from proxyd.clock import DeadlineWheel
    from proxyd.http1.framing import Decoder
    from proxyd.http1.message import ResponseHead
    from proxyd.upstream.pool import Pool

FINAL: Final = 200  # the lowest status of a final answer
KEEP_ALIVE_MARGIN: Final = 1.0  # seconds before the announced end of a Keep-Alive: timeout


def idle_time(announced: int, limit: float) -> float:
    """Return how long to keep an idle connection whose upstream says how long it will (Node: 5 s).

    There is a margin, so that a request never meets the close under way; ``limit`` is ours, 0 for none.
    """
    timeout = max(announced - KEEP_ALIVE_MARGIN, 0.5)
    return min(timeout, limit) if limit else timeout


class Owner(Protocol):
    """Whose exchange a connection carries; ``upgrading`` where the request offers to speak another protocol."""

    upgrading: bool

    def response_informational(self, head: ResponseHead) -> None:
        """Pass a 1xx head on, other than 101."""

    def response_head(self, head: ResponseHead, now: float) -> None:
        """Take the final head; for 101, both sides turn into a tunnel."""

    def response_data(self, data: bytes) -> None:
        """Take a piece of the body."""

    def response_waits(self) -> None:
        """Hear that more of the body is to come, and may be long in coming."""

    def response_end(self, trailers: bytes, now: float) -> None:
        """Take the end; the connection is not the owner's any more."""

    def upstream_failed(self, error: GatewayError) -> None:
        """Take the failure; the connection is gone."""

    def upstream_writable(self, writable: bool) -> None:
        """Hear whether the upstream takes more of the request."""


class Tunnel(Protocol):
    """Where the bytes of an upgraded connection go."""

    def write(self, data: bytes) -> None:
        """Pass bytes on."""

    def end(self) -> None:
        """Pass the end of the stream on."""


class UpstreamConnection:
    """The client side of one connection to a peer."""

    __slots__ = (
        "_buffer",
        "_closing",
        "_decoder",
        "_ended",
        "_eof",
        "_heads",
        "_idle_timeout",
        "_keep_alive",
        "_method",
        "_paused",
        "_read_timeout",
        "_request_ended",
        "_tunnel",
        "_wheel",
        "_writable",
        "_write_timeout",
        "deadline",
        "idle_since",
        "owner",
        "pool",
        "requests",
        "slot",
        "transport",
    )

    def __init__(self, pool: Pool, heads: HeadLimits, wheel: DeadlineWheel) -> None:
        self.pool = pool
        self.owner: Owner | None = None
        self.requests = 0
        self.idle_since = 0.0
        self.deadline = 0.0
        self.slot = 0
        self._heads = heads
        self._wheel = wheel
        self.transport: asyncio.Transport
        self._idle_timeout = pool.limits.idle_timeout
        self._closing = False
        self._eof = False  # in a tunnel: the upstream sends no more
        self._ended = False  # in a tunnel: the client sends no more
        self._writable = True
        self._buffer = b""
        self._decoder: Decoder | None = None
        self._tunnel: Tunnel | None = None
        self._method = "GET"
        self._paused = False  # reading is
        self._keep_alive = False
        self._request_ended = True
        self._read_timeout = self._write_timeout = 60.0

    def __repr__(self) -> str:
        state = "closed" if self._closing else "idle" if self.owner is None else "answering"
        if self.owner is not None and self._decoder is None:
            state = "tunnel" if self._tunnel else "waiting"
        return f"<UpstreamConnection {state} requests={self.requests}>"

    # --- sending a request -----------------------------------------------------------------------------------

    def start(self, owner: Owner, method: str, read_timeout: float, write_timeout: float) -> None:
        """Begin an exchange; times in seconds between two successful reads or writes."""
        self.owner = owner
        self.requests += 1
        self._method = method
        self._request_ended = False
        self.deadline = 0.0  # until the request is out, its sender's deadlines count
        self._read_timeout = read_timeout
        self._write_timeout = write_timeout

    def write(self, data: bytes) -> None:
        """Send bytes of the request, or of the tunnel; nothing behind a tunnel's end."""
        if not self._closing and not self._ended:
            self.transport.write(data)
            if self._tunnel is not None:  # idle is when both directions are
                self.deadline = self._wheel.now() + self._read_timeout

    def request_ended(self, now: float) -> None:
        """Hear that the request is complete: from here on, the answer is waited for."""
        self._request_ended = True
        self._wheel.watch(self, now + self._read_timeout)

    def pause(self) -> None:
        """Stop reading the answer: the client is slow."""
        if not self._closing:
            self._paused = True
            self.transport.pause_reading()
            self.deadline = 0.0

    def resume(self) -> None:
        """Read on."""
        if not self._closing:
            self._paused = False
            self.transport.resume_reading()
            self._wheel.watch(self, self._wheel.now() + self._read_timeout)

    def tunnel(self, other: Tunnel) -> None:
        """Turn into a pipe to the client, with the read timeout as its idle timeout."""
        self._tunnel = other
        self._request_ended = True
        self._wheel.watch(self, self._wheel.now() + self._read_timeout)
        if self._buffer:
            buffered, self._buffer = self._buffer, b""
            other.write(buffered)

    def end(self) -> None:
        """Pass on, in a tunnel, that the client will send no more."""
        self._ended = True
        if self._eof or self._closing or not self.transport.can_write_eof():
            self.close()
        else:
            self.transport.write_eof()

    def abort(self) -> None:
        """Give the exchange up: what was under way is of no use to anyone."""
        self.owner = self._tunnel = None
        if not self._closing:
            self.close()
            self.transport.abort()

    def close(self) -> None:
        """Close, after what was written has gone out; an upstream that does not take it is cut."""
        if not self._closing:
            self._closing = True
            self._wheel.watch(self, self._wheel.now() + self._write_timeout)
            self.transport.close()

    # --- receiving the answer --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin life; the pool counts it."""
        self.transport = cast("asyncio.Transport", transport)
        self.pool.open += 1

    def data_received(self, data: bytes) -> None:
        """Take bytes of the answer, or of the tunnel."""
        now = self._wheel.now()
        if self._tunnel is not None:
            self.deadline = now + self._read_timeout
            self._tunnel.write(data)
            return
        if self.owner is None:  # nobody asked: an answer to nothing must not meet the next request
            self.pool.forget(self)
            self.close()
            return
        try:
            if self._decoder is None:
                self._head(self._buffer + data if self._buffer else data, now)
            else:
                self._body(data, now)
                if self.owner is not None:
                    self.owner.response_waits()
        except ProtocolError as error:
            self._fail(GatewayError(Kind.BAD_RESPONSE, error.reason))

    def _head(self, data: bytes, now: float) -> None:
        owner = self.owner
        parsed = parse_response(data, self._method, self._heads)
        if parsed is None or owner is None:
            self._buffer = data
            self.deadline = now + self._read_timeout
            return
        head, size = parsed
        self._buffer = b""
        while head.status < FINAL:
            data = self._interim(owner, head, data[size:], now)
            if not data or self.owner is None:
                return
            parsed = parse_response(data, self._method, self._heads)
            if parsed is None:
                self._buffer = data
                return
            head, size = parsed
        self._keep_alive = (
            head.keep_alive and not owner.upgrading
        )  # Node is deaf to what follows one that it declined
        if head.idle_timeout >= 0:
            self._idle_timeout = idle_time(head.idle_timeout, self.pool.limits.idle_timeout)
        length = len(data) - size
        if length == head.framing:  # all of it has come at once, as small answers do
            owner.response_head(head, now)
            if length and self.owner is not None:
                owner.response_data(data[size:])
            self._finish(b"", now, clean=True)
            return
        self._decoder = framing.decoder(head.framing)
        self.deadline = now + self._read_timeout  # before the owner hears, who may pause the connection
        owner.response_head(head, now)
        if length:
            self._body(data[size:], now)
        if self.owner is not None:
            self.owner.response_waits()

    def _interim(self, owner: Owner, head: ResponseHead, rest: bytes, now: float) -> bytes:
        """Pass a 1xx on; returns what stands behind it, unless those are a tunnel's first bytes."""
        if head.status == SWITCHING:
            self._buffer = rest
            owner.response_head(head, now)
            return b""
        owner.response_informational(head)
        self.deadline = now + self._read_timeout
        return rest

    def _body(self, data: bytes, now: float) -> None:
        decoder = self._decoder
        if self.owner is None or decoder is None:  # the owner gave up on seeing the head
            return
        payload, rest = decoder.feed(data)
        self.deadline = now + self._read_timeout  # before the owner hears, who may pause the connection
        if payload:
            self.owner.response_data(payload)
        if decoder.done:
            self._finish(decoder.trailers, now, clean=not rest)

    def _finish(self, trailers: bytes, now: float, *, clean: bool) -> None:
        owner = self.owner
        if owner is None:
            return
        self.owner = None
        self._decoder = None
        if clean and self._keep_alive and self._request_ended and not self._closing:
            if self._paused:  # the last bytes were too much for the client; the connection is another's now
                self.resume()
            self.idle_since = now
            if self._idle_timeout:
                self._wheel.watch(self, now + self._idle_timeout)
            else:
                self.deadline = 0.0
            self.pool.release(self)
        else:
            self.close()
        owner.response_end(trailers, now)

    # --- the other side goes away, or is too slow ------------------------------------------------------------

    def eof_received(self) -> bool:
        """Take the end of the upstream's bytes; a tunnel's other direction stays open."""
        if self._tunnel is not None:
            self._eof = True
            self._tunnel.end()
            return not self._ended
        if self.owner is None:  # it must not be lent between now and the close
            self.pool.forget(self)
            self._closing = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End life: complete a body that ends with the connection, or tell the owner what is missing."""
        self._closing = True
        self.deadline = 0.0
        self.pool.lost()
        if self.owner is None:
            self.pool.forget(self)
        elif self._tunnel is not None:
            self.owner.response_end(b"", self._wheel.now())
        elif exc is None and self._decoder is not None and self._decoder.finish():
            self._finish(self._decoder.trailers, self._wheel.now(), clean=False)
        elif self._decoder is not None or self._buffer:
            self._fail(GatewayError(Kind.BAD_RESPONSE, f"answer cut short{f': {exc}' if exc else ''}"))
        else:
            self._fail(GatewayError(Kind.RESET, str(exc) if exc else "closed without an answer"))
        self.owner = self._tunnel = None

    def deadline_passed(self) -> None:
        """Act on silence: the upstream's in an exchange, or everybody's on an idle connection."""
        if self._closing:
            self.transport.abort()
        elif self.owner is None or self._tunnel is not None:
            self.pool.forget(self)
            self.close()
        elif not self._writable:
            self._fail(GatewayError(Kind.WRITE_TIMEOUT, f"no byte taken for {self._write_timeout:g} s"))
        else:
            self._fail(GatewayError(Kind.READ_TIMEOUT, f"no byte for {self._read_timeout:g} s"))

    def _fail(self, error: GatewayError) -> None:
        owner = self.owner
        self.abort()
        if owner is not None:
            owner.upstream_failed(error)

    # --- backpressure ----------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """Hear that the upstream does not take more for now."""
        self._writable = False
        self._wheel.watch(self, self._wheel.now() + self._write_timeout)
        if self.owner is not None:
            self.owner.upstream_writable(False)

    def resume_writing(self) -> None:
        """Hear that it does again."""
        self._writable = True
        if not self._closing:
            self.deadline = 0.0
            if self._request_ended:
                self._wheel.watch(self, self._wheel.now() + self._read_timeout)
            if self.owner is not None:
                self.owner.upstream_writable(True)
