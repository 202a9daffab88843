"""The client's side of an exchange, as the gateway sees it: where answers go and request bodies come from.

``downstream`` implements ``ClientSink``; the gateway never sees its transport.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import Future

    from proxyd.carrier import Pipe
    from proxyd.clock import Watched
    from proxyd.errors import ProtocolError


class BodyReceiver(Protocol):
    """Who takes a request's body."""

    def body_data(self, data: bytes) -> None:
        """Take a piece of it."""

    def body_end(self, trailers: bytes) -> None:
        """Take its end, with the trailer lines that may be forwarded."""

    def body_failed(self, error: ProtocolError) -> None:
        """Hear that the rest will not come: malformed, too large, too slow."""


class ClientOwner(Protocol):
    """Who answers an exchange that is not over yet."""

    def client_gone(self) -> None:
        """Hear that nobody waits for the answer any more."""

    def client_writable(self, writable: bool) -> None:
        """Hear whether the client takes more of the answer."""

    def leave(self) -> None:
        """Hear that the process is about to end: a stream whose client comes back elsewhere is to end now."""


class ClientSink(Protocol):
    """One exchange's way back to its client."""

    @property
    def leaving(self) -> bool:
        """Whether streams have been told to end, as the process does: one that begins now has to be told too."""

    def attach(self, owner: ClientOwner) -> None:
        """Name who is told of the client's leaving and slowness."""

    def request_body(self, receiver: BodyReceiver) -> None:
        """Begin handing the body over; what has arrived comes before this returns."""

    def pause_body(self) -> None:
        """Stop taking bytes from the client."""

    def resume_body(self) -> None:
        """Go on taking them."""

    def will_keep_alive(self) -> bool:
        """Whether another request may follow; decided for good with the first call."""

    def settle_body(self) -> bool:
        """Discard what has come of an unread body, then tell whether another request may follow."""

    def read(self, limit: int) -> Future[bytes]:
        """Read the whole body for a plugin, at most ``limit`` bytes; raises ProtocolError(413) beyond."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def write_informational(self, head: bytes) -> None:
        """Send a 1xx head, to clients that know such."""

    def hold(self, data: bytes) -> None:
        """Send bytes together with those behind them."""

    def flush(self) -> None:
        """Send what is held."""

    def finish(self) -> None:
        """End the exchange: its answer is complete."""

    def abort(self) -> None:
        """End the exchange and the connection: its answer cannot be completed."""

    def tunnel(self, other: Pipe) -> Pipe:
        """Turn the connection into a pipe to ``other``; returns this end."""

    def watch(self, thing: Watched, deadline: float) -> None:
        """Have ``thing.deadline_passed`` called at a time."""
