"""Carrying a request in the forwarder's place: for plugins that answer it out of several requests, or by a stream.

A plugin puts a ``Carrier`` into ``exchange.carrier``. When every phase has let the request pass, the carrier is called
instead of the forwarder, and has a ``Way``: to the client, whom it answers, and to the route's upstream, which it may ask
as often as it likes (with the balancer, the retries and the timeouts of any request).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from proxyd.clock import Watched
    from proxyd.exchange import Exchange, Reply
    from proxyd.http1.headers import Headers
    from proxyd.http1.message import RequestHead, ResponseHead


class Pipe(Protocol):
    """One end of a tunnel."""

    def write(self, data: bytes) -> None:
        """Pass bytes on."""

    def end(self) -> None:
        """Pass the end of the stream on."""


class Receiver(Protocol):
    """Who takes the answer to a request that a carrier made."""

    def head(self, head: ResponseHead) -> None:
        """Take its head; with HEAD, 204 or 304, ``end`` follows at once."""

    def data(self, data: bytes) -> None:
        """Take a piece of its body."""

    def end(self) -> None:
        """Take its end, or a tunnel's."""

    def failed(self, reply: Reply) -> None:
        """Hear that there is none, or no more of it; ``reply`` is what a client would be told."""

    def switched(self, head: ResponseHead, pipe: Pipe) -> Pipe:
        """Take the tunnel that the upstream has agreed to; returns where its bytes go."""

    def writable(self, writable: bool) -> None:
        """Hear whether the tunnel takes more for now."""


class Call(Protocol):
    """A request that a carrier made."""

    def pause(self) -> None:
        """Stop reading its answer, or the tunnel."""

    def resume(self) -> None:
        """Read on."""

    def cancel(self) -> None:
        """Give it up; the receiver hears nothing any more."""


class Caller(Protocol):
    """What asks a service outside of any client's request."""

    def ask(
        self,
        service: str,
        request: RequestHead,
        body: bytes | None,
        receiver: Receiver,
        *,
        whole_path: bool = False,
    ) -> Call:
        """Ask a service of the snapshot, by id; ``request.path`` is put behind the service's path, unless it is whole.

        Raises KeyError for a service that there is not.
        """

    def service_of(self, route: str | None, service: str | None) -> tuple[str, str] | None:
        """Return id and name of the service that a plugin's scope leads to; None where it leads to none, or to several."""


class Way(Protocol):
    """The two sides of an exchange that is carried.

    It is ended by exactly one of ``reply``, ``forward``, ``end``, ``abort`` and ``close``, or by the client's going (``Carrier.gone``).
    """

    exchange: Exchange

    def ask(self, request: RequestHead, body: bytes | None, receiver: Receiver) -> Call:
        """Ask the route's upstream, as the exchange would be forwarded: its path, and what plugins replaced.

        The answer goes through no filter; ``request.headers`` must not be the exchange's own, which are changed
        for the wire. With ``request.upgrade``, it asks for a tunnel.
        """

    def reply(self, reply: Reply) -> None:
        """Answer in one piece, through the route's filters."""

    def forward(self) -> None:
        """Have the request forwarded as if nobody carried it; nothing may have been answered."""

    def begin(self, status: int, headers: Headers) -> bool:
        """Begin to answer by a stream, through the route's header filters; False where one of them has answered."""

    def send(self, data: bytes) -> None:
        """Send a piece of the stream at once; ``Carrier.writable`` tells when the client is slow."""

    def end(self) -> None:
        """End the stream."""

    def abort(self) -> None:
        """Cut the stream, and the connection with it: it cannot be completed."""

    def switch(self, headers: Headers, pipe: Pipe) -> Pipe | None:
        """Take the client's offer of a WebSocket, with the ``Sec-WebSocket-*`` fields of the answer.

        The client's bytes go to ``pipe``, and what is written to the returned one goes to the client. None
        where a header filter has answered instead.
        """

    def close(self) -> None:
        """End a tunnel, after what was written to it."""

    def pause(self) -> None:
        """Take nothing more from the client of a tunnel for now."""

    def resume(self) -> None:
        """Take it again."""

    def now(self) -> float:
        """Return the monotonic time, in seconds."""

    def watch(self, thing: Watched, deadline: float) -> None:
        """Have ``thing.deadline_passed`` called at a time; see ``clock.DeadlineWheel``."""


class Carrier(Protocol):
    """Who carries a request instead of the forwarder."""

    def meet(self, way: Way) -> None:
        """Take the way, before ``carry``: as soon as a phase waits that has put the carrier there, or else just then."""

    def carry(self) -> None:
        """Begin: every phase has let the request pass."""

    def refuse(self, reply: Reply) -> None:
        """Tell a client that has its WebSocket already that a phase has answered; ``Way.close`` is to follow."""

    def gone(self) -> None:
        """Hear that the client is gone; the way is closed. Behind ``meet``, before ``carry`` too."""

    def writable(self, writable: bool) -> None:
        """Hear whether the client takes more for now."""

    def leave(self) -> None:
        """Hear that the process is about to end: end what the client begins anew elsewhere."""
