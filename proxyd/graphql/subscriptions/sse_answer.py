"""A client of server-sent events in the mode of distinct connections: one operation, answered by one stream (graphql-sse)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.graphql.subscriptions.sse import COMPLETE
from proxyd.graphql.subscriptions.sse_stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.carrier import Way
    from proxyd.exchange import Reply
    from proxyd.graphql.document import Operation
    from proxyd.graphql.request import Asked
    from proxyd.graphql.subscriptions.source import Holder, Source, Subscription
    from proxyd.graphql.subscriptions.sse_stream import Pace

    Opening = Callable[[Way, Holder], Source]
    """How a source is made for the client at the end of a way."""


class EventAnswer:
    """Carries one operation; implements ``Carrier``, and ``Holder`` and ``Listener`` of its source."""

    __slots__ = (
        "_asked",
        "_encode",
        "_opening",
        "_operation",
        "_slow",
        "_source",
        "_stream",
        "_subscription",
    )

    def __init__(
        self,
        opening: Opening,
        asked: Asked,
        operation: Operation,
        pace: Pace,
        encode: Callable[[bytes], bytes],
    ) -> None:
        self._opening = opening
        self._asked = asked
        self._operation = operation
        self._encode = encode
        self._stream = Stream(pace, self._cut)
        self._source: Source | None = None
        self._subscription: Subscription | None = None
        self._slow = False

    def __repr__(self) -> str:
        return f"<EventAnswer {self._operation!r} {self._stream!r}>"

    # --- as a carrier ----------------------------------------------------------------------------------------

    def meet(self, way: Way) -> None:
        """Take the way."""
        self._stream.way = way

    def carry(self) -> None:
        """Open the source; the stream begins once it is open, so that a backend that is away is told by a status."""
        self._source = source = self._opening(self._stream.way, self)
        source.open(b"")

    def refuse(self, reply: Reply) -> None:
        """Never: there is no WebSocket."""
        raise NotImplementedError

    def gone(self) -> None:
        """Let go of the backend."""
        self._stream.gone()
        self._let_go()

    def writable(self, writable: bool) -> None:
        """Hold the results of a client that is slow at their source."""
        self._slow = not writable
        if self._subscription is not None:
            (self._subscription.resume if writable else self._subscription.pause)()

    def leave(self) -> None:
        """End the stream, so that the client asks again elsewhere; what has one result goes on to it, and is not asked twice."""
        if self._operation.type == "subscription":
            self._cut()

    def _cut(self) -> None:
        if self._stream.begun:
            self._stream.end()
            self._let_go()

    def _let_go(self) -> None:
        source, self._source, self._subscription = self._source, None, None
        if source is not None:
            source.close()

    # --- as the holder of a source ---------------------------------------------------------------------------

    def opened(self, payload: bytes) -> None:
        """Begin the stream, and then the operation."""
        del payload
        source = self._source
        if source is None or self._stream.begun:
            return
        if not self._stream.begin():
            self._let_go()
            return
        subscription = source.subscribe(self._asked, self._operation, self)
        if self._source is not None:  # or it has ended meanwhile
            self._subscription = subscription
            if self._slow:
                subscription.pause()

    def lost(self, code: int, reason: str) -> None:
        """Tell the client that there is no backend, or have it come back."""
        del reason
        self._source = self._subscription = None
        self._stream.lose(code)

    def backend_writable(self, writable: bool) -> None:
        """Never matter: its one operation is asked for already."""

    # --- as a listener ---------------------------------------------------------------------------------------

    def next(self, payload: bytes) -> None:
        """Send a result."""
        self._stream.send(self._encode(payload))

    def failed(self, errors: bytes) -> None:
        """Send errors, and the end."""
        self.next(b'{"errors":%b}' % errors)
        self.completed()

    def completed(self) -> None:
        """Send the end."""
        self._stream.send(COMPLETE)
        self._stream.end()
        self._let_go()
