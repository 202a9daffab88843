"""Clients of server-sent events in the single connection mode of graphql-sse, whose backend speaks something else.

The gateway keeps their reservations itself, in this process: a client's requests have to come to the one that has them, so
there can be only one.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING

import orjson

from proxyd.graphql.request import NOTHING
from proxyd.graphql.subscriptions.sse import labelled_complete, labelled_next
from proxyd.graphql.subscriptions.sse_stream import Stream
from proxyd.graphql.subscriptions.sse_tokens import identity_of, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.carrier import Way
    from proxyd.exchange import Exchange, Reply
    from proxyd.graphql.document import Operation
    from proxyd.graphql.request import Asked
    from proxyd.graphql.subscriptions.source import Source, Subscription
    from proxyd.graphql.subscriptions.sse_answer import Opening
    from proxyd.graphql.subscriptions.sse_stream import Pace

TOKEN_BYTES = 24


class Reservations:
    """Streams that are open, and those that clients may open; one per plugin instance.

    ``most`` bounds them all, ``share`` those that one identity, or one address of an unknown one, has and has not opened;
    these are forgotten after ``lifetime`` seconds.
    """

    def __init__(self, most: int, share: int, lifetime: float, now: Callable[[], float]) -> None:
        self._most = most
        self._share = share
        self._lifetime = lifetime
        self._now = now
        self._open: dict[str, EventConnection] = {}
        self._ahead: OrderedDict[str, EventConnection] = OrderedDict()  # the oldest leads
        self._counts: dict[str, int] = {}  # of those, by whose they are

    def __repr__(self) -> str:
        return f"<Reservations open={len(self._open)} ahead={len(self._ahead)}>"

    def reserve(self, exchange: Exchange, make: Callable[[Reservations, str], EventConnection]) -> str | None:
        """Reserve a stream, and return its token; None where there are too many."""
        self._expire()
        whose = _whose(exchange)
        if len(self._open) + len(self._ahead) >= self._most or self._counts.get(whose, 0) >= self._share:
            return None
        token = secrets.token_urlsafe(TOKEN_BYTES)
        connection = self._ahead[token] = make(self, token)
        connection.identity = identity_of(exchange)
        connection.whose = whose
        connection.until = self._now() + self._lifetime
        self._counts[whose] = self._counts.get(whose, 0) + 1
        return token

    def find(self, exchange: Exchange, token: str) -> EventConnection | None:
        """Return the stream behind a token, for its owner."""
        self._expire()
        connection = self._open.get(token, self._ahead.get(token))
        return connection if connection is not None and connection.identity == identity_of(exchange) else None

    def open(self, token: str, way: Way) -> EventConnection | None:
        """Open the stream behind a token; None where it is not there any more, or somebody else was faster."""
        connection = self._ahead.pop(token, None)
        if connection is not None:
            self._count_out(connection)
            self._open[token] = connection
            connection.begin(way)
        return connection

    def closed(self, token: str) -> None:
        """Hear that it is closed."""
        self._open.pop(token, None)

    def _expire(self) -> None:
        now = self._now()
        while self._ahead:
            token, connection = next(iter(self._ahead.items()))
            if connection.until > now:
                return
            del self._ahead[token]
            self._count_out(connection)

    def _count_out(self, connection: EventConnection) -> None:
        left = self._counts[connection.whose] - 1
        if left:
            self._counts[connection.whose] = left
        else:
            del self._counts[connection.whose]


def _whose(exchange: Exchange) -> str:
    return identity_of(exchange) or f"address:{exchange.client_ip}"


class EventConnection:
    """A stream of many operations, from its reservation on; the ``Holder`` of its source.

    ``taken`` tells that a request has opened it, as only one can.
    """

    __slots__ = (
        "_opened",
        "_opening",
        "_operations",
        "_reservations",
        "_slow",
        "_source",
        "_stream",
        "_token",
        "identity",
        "taken",
        "until",
        "whose",
    )

    def __init__(
        self,
        reservations: Reservations,
        token: str,
        opening: Opening,
        pace: Pace,
    ) -> None:
        self.identity = self.whose = ""
        self.until = 0.0
        self.taken = False
        self._reservations = reservations
        self._token = token
        self._opening = opening
        self._stream = Stream(pace, self.leave)
        self._source: Source | None = None
        self._opened = False
        self._slow = False
        self._operations: dict[str, Part] = {}

    def __repr__(self) -> str:
        return f"<EventConnection operations={len(self._operations)} {self._stream!r}>"

    # --- what its client's requests ask for ------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many operations are under way."""
        return len(self._operations)

    @property
    def kept(self) -> int:
        """How many bytes are kept of operations that wait for the stream to be opened."""
        return sum(part.size for part in self._operations.values())

    def __contains__(self, name: str) -> bool:
        return name in self._operations

    def add(self, name: str, asked: Asked, operation: Operation) -> None:
        """Begin an operation, now or when the stream is open."""
        part = self._operations[name] = Part(self, name, asked, operation)
        if self._opened and self._source is not None:
            part.start(self._source, slow=self._slow)

    def remove(self, name: str) -> None:
        """Stop an operation, if it is under way."""
        part = self._operations.pop(name, None)
        if part is not None:
            part.stop()

    # --- what becomes of its stream --------------------------------------------------------------------------

    def begin(self, way: Way) -> None:
        """Open the source, and then the stream."""
        self.taken = True
        self._stream.way = way
        self._source = source = self._opening(way, self)
        source.open(b"")

    def gone(self) -> None:
        """Let go of the backend, and of the reservation."""
        self._stream.gone()
        self._let_go()

    def writable(self, writable: bool) -> None:
        """Hold the results of a client that is slow at their source."""
        self._slow = not writable
        for part in tuple(self._operations.values()):
            part.writable(writable)

    def leave(self) -> None:
        """End the stream, so that the client comes back elsewhere."""
        if self._stream.begun:
            self._stream.end()
            self._let_go()

    def _let_go(self) -> None:
        self._reservations.closed(self._token)
        self._operations.clear()
        source, self._source = self._source, None
        if source is not None:
            source.close()

    # --- as the holder of a source ---------------------------------------------------------------------------

    def opened(self, payload: bytes) -> None:
        """Begin the stream, and what was asked for before."""
        del payload
        if self._source is None or self._opened:
            return
        if not self._stream.begin():
            self._let_go()
            return
        self._opened = True
        for part in tuple(self._operations.values()):
            if self._source is not None:
                part.start(self._source, slow=self._slow)

    def lost(self, code: int, reason: str) -> None:
        """Tell the client that there is no backend, or have it come back."""
        del reason
        self._source = None
        self._stream.lose(code)
        self._let_go()

    def backend_writable(self, writable: bool) -> None:
        """Never matter: so many operations can wait for it."""

    # --- for its operations ----------------------------------------------------------------------------------

    def send(self, label: bytes, payload: bytes) -> None:
        """Send a result of one."""
        self._stream.send(labelled_next(label, payload))

    def complete(self, name: str, label: bytes) -> None:
        """Send the end of one."""
        self._operations.pop(name, None)
        self._stream.send(labelled_complete(label))


class Opener:
    """Carries the request that opens a stream; a ``Carrier``."""

    __slots__ = ("_connection", "_reservations", "_token", "_way")

    def __init__(self, reservations: Reservations, token: str) -> None:
        self._reservations = reservations
        self._token = token
        self._way: Way
        self._connection: EventConnection | None = None  # once it is open

    def __repr__(self) -> str:
        return f"<Opener {self._connection!r}>"

    def meet(self, way: Way) -> None:
        """Take the way."""
        self._way = way

    def carry(self) -> None:
        """Open the stream: nothing refuses the request any more."""
        self._connection = self._reservations.open(self._token, self._way)
        if self._connection is None:
            self._way.reply(refusal(self._way.exchange, 409, "Stream already open"))

    def refuse(self, reply: Reply) -> None:
        """Never: there is no WebSocket."""
        raise NotImplementedError

    def gone(self) -> None:
        """Pass on that the client is."""
        if self._connection is not None:
            self._connection.gone()

    def writable(self, writable: bool) -> None:
        """Pass on whether the client takes more for now."""
        if self._connection is not None:
            self._connection.writable(writable)

    def leave(self) -> None:
        """Pass on that the process is about to end."""
        if self._connection is not None:
            self._connection.leave()


class Acting:
    """Carries a request that changes what is reserved or under way, once nothing refuses it any more; a ``Carrier``."""

    __slots__ = ("_act", "_way")

    def __init__(self, act: Callable[[], Reply]) -> None:
        self._act = act
        self._way: Way

    def __repr__(self) -> str:
        return "<Acting>"

    def meet(self, way: Way) -> None:
        """Take the way."""
        self._way = way

    def carry(self) -> None:
        """Act, and answer."""
        self._way.reply(self._act())

    def refuse(self, reply: Reply) -> None:
        """Never: there is no WebSocket."""
        raise NotImplementedError

    def gone(self) -> None:
        """Never matter: it acts at once."""

    def writable(self, writable: bool) -> None:
        """Never matter: the answer is small."""

    def leave(self) -> None:
        """Never matter: the answer is out."""


class Part:
    """One operation of such a stream; the ``Listener`` of its results."""

    __slots__ = ("_asked", "_connection", "_label", "_name", "_operation", "_over", "_subscription")

    def __init__(self, connection: EventConnection, name: str, asked: Asked, operation: Operation) -> None:
        self._connection = connection
        self._name = name
        self._label = orjson.dumps(name)
        self._asked = asked
        self._operation = operation
        self._subscription: Subscription | None = None
        self._over = False

    def __repr__(self) -> str:
        return f"<Part {self._operation!r} {'over' if self._over else 'open'}>"

    @property
    def size(self) -> int:
        """How many bytes are kept of what was asked."""
        return self._asked.size

    def start(self, source: Source, *, slow: bool) -> None:
        """Begin it; the results for a client that is slow wait at once."""
        asked, self._asked = self._asked, NOTHING
        subscription = source.subscribe(asked, self._operation, self)
        if not self._over:
            self._subscription = subscription
            if slow:
                subscription.pause()

    def stop(self) -> None:
        """End it."""
        self._over = True
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.stop()

    def writable(self, writable: bool) -> None:
        """Hear whether its client takes more for now."""
        if self._subscription is not None:
            (self._subscription.resume if writable else self._subscription.pause)()

    def next(self, payload: bytes) -> None:
        """Send a result."""
        self._connection.send(self._label, payload)

    def failed(self, errors: bytes) -> None:
        """Send errors, and the end."""
        self.next(b'{"errors":%b}' % errors)
        self.completed()

    def completed(self) -> None:
        """Send the end."""
        self._over = True
        self._connection.complete(self._name, self._label)
