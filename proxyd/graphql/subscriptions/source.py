"""What stands between the client's side of subscriptions and the backend's: results, whatever they are wrapped in.

A client's side (a WebSocket session, an SSE answer) holds a ``Source`` and does not know how the backend is spoken to; a
source knows its ``Holder`` and a ``Listener`` for each operation, and not how their client is. Payloads are passed on as the
bytes that came, unless somebody has to look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from proxyd.graphql.document import Operation
    from proxyd.graphql.request import Asked


class Listener(Protocol):
    """Who hears the results of one operation. Behind ``failed`` or ``completed`` nothing comes."""

    def next(self, payload: bytes) -> None:
        """Take one execution result, as JSON."""

    def failed(self, errors: bytes) -> None:
        """Take the errors for which there are no (further) results, a JSON list."""

    def completed(self) -> None:
        """Hear that there are no more."""


class Holder(Protocol):
    """Who holds a source, and hears what concerns the whole of it."""

    def opened(self, payload: bytes) -> None:
        """Hear that it takes operations from now on; with what the backend acknowledges, as JSON, empty for nothing."""

    def lost(self, code: int, reason: str) -> None:
        """Hear that it is gone, whether it was open or not, and no listener hears any more.

        ``code`` is what a client's WebSocket is closed with, one that lets clients come back where that may help.
        """

    def backend_writable(self, writable: bool) -> None:
        """Hear whether the backend takes more operations for now; those that it is given all the same are kept for it."""


class Subscription(Protocol):
    """One operation under way at a source."""

    def pause(self) -> None:
        """Ask for no more results for now: their client is slow."""

    def resume(self) -> None:
        """Take them again."""

    def stop(self) -> None:
        """End it; its listener hears nothing any more."""


class Source(Protocol):
    """Where the results of one client's operations come from."""

    def open(self, payload: bytes) -> None:
        """Begin; the holder hears of the outcome, perhaps before this returns. The payload is connection_init's, or empty."""

    def subscribe(self, asked: Asked, operation: Operation, listener: Listener) -> Subscription:
        """Begin an operation that has been examined, once the source is open; queries and mutations too.

        The listener may hear of its end before this returns.
        """

    def close(self) -> None:
        """End them all; nobody hears of it."""
