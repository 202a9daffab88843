"""What stands between the client's side of subscriptions and the backend's: results, whatever they are wrapped in.

A client's side (a WebSocket session, an SSE answer) knows a ``Source`` and not how the backend is spoken to; a source knows
``Listener`` and not how its client is. Payloads are passed on as the bytes that came, unless somebody has to look.
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

    def subscribe(self, asked: Asked, operation: Operation, listener: Listener) -> Subscription:
        """Begin an operation that has been examined; queries and mutations too, as clients send them this way."""

    def close(self) -> None:
        """End them all; no listener hears of it."""
