"""Clients of server-sent events at the gateway: which of their requests are passed on, which it answers itself, and how."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import orjson

from proxyd.exchange import Reply
from proxyd.graphql.accept import accepted
from proxyd.graphql.refusal import Refused
from proxyd.graphql.subscriptions.sse import Once, next_event
from proxyd.graphql.subscriptions.sse_answer import EventAnswer
from proxyd.graphql.subscriptions.sse_connection import Acting, EventConnection, Opener, Reservations
from proxyd.graphql.subscriptions.sse_stream import Pace
from proxyd.graphql.subscriptions.sse_tokens import Reserving, Tokens, operation_id_of, refusal, token_of
from proxyd.graphql.subscriptions.told import telling
from proxyd.http1.headers import Headers

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Operation
    from proxyd.graphql.request import Asked
    from proxyd.graphql.results import Results
    from proxyd.graphql.subscriptions.settings import Subscriptions
    from proxyd.graphql.subscriptions.sources import Sources
    from proxyd.plugin import Kit


MOST_KEPT = 262_144  # bytes of the operations of a stream that is not open


class Examine:
    """What ``enter`` returns for a request whose operation is to be examined as any."""


EXAMINE = Examine()


class EventStreams:
    """Takes the requests of such clients; one per plugin instance, where there is anything for it to do."""

    def __init__(
        self, config: Subscriptions, kit: Kit, sources: Sources, results: Results | None = None
    ) -> None:
        events = config.events
        self._sources = sources
        self._translates = config.backend_protocol not in {"auto", "sse"}
        self._pace = Pace(events.keep_alive, kit.clock.time)
        self._most = config.max_operations
        self._opening = sources.open if results is None else telling(sources.open, results)
        self._encode = Once(next_event)
        self._single = events.single_connection
        self._possible = kit.alone or (bool(events.token_secret) and not self._translates)
        self._tokens = Tokens(events.token_secret)
        self._reservations = Reservations(
            events.max_reservations, events.max_unopened, events.reservation_timeout, kit.clock.now
        )

    def __repr__(self) -> str:
        return f"<EventStreams {'translating' if self._translates else 'passing'} {self._reservations!r}>"

    # --- before the operation is examined --------------------------------------------------------------------

    def enter(self, exchange: Exchange) -> Reply | Examine | None:
        """Take a request of the single connection mode; returns None for one that is passed on, or carried."""
        if not self._single:
            return EXAMINE
        method = exchange.request.method
        if method == "PUT":
            return self._reserve(exchange)
        token = token_of(exchange)
        if token is None and method != "DELETE":
            return EXAMINE
        if token is None:
            return refusal(exchange, 404, "Stream not found")
        return self._take_up(exchange, token) if self._translates else self._pass(exchange, token)

    def _pass(self, exchange: Exchange, token: str) -> Reply | Examine | None:
        if not self._tokens.admit(exchange, token):
            return refusal(exchange, 404, "Stream not found")
        return EXAMINE if exchange.request.method == "POST" else None

    def _take_up(self, exchange: Exchange, token: str) -> Reply | Examine | None:
        connection = self._reservations.find(exchange, token)
        if connection is None:
            return refusal(exchange, 404, "Stream not found")
        method = exchange.request.method
        if method == "GET":
            return self._open(exchange, connection, token)
        if method == "DELETE":
            exchange.carrier = Acting(partial(_stop, exchange, connection))
            return None
        exchange.keep("graphql-sse", connection)
        return EXAMINE

    def _reserve(self, exchange: Exchange) -> Reply | None:
        if not self._possible:
            why = "Single connection mode is not served here: use a connection for each operation"
            return refusal(exchange, 501, why)
        if not self._translates:
            exchange.carrier = Reserving(self._tokens)
            return None
        exchange.carrier = Acting(partial(self._reserve_here, exchange))
        return None

    def _reserve_here(self, exchange: Exchange) -> Reply:
        token = self._reservations.reserve(exchange, self._make)
        if token is None:
            reply = refusal(exchange, 429, "Too many streams are reserved")
            assert reply.headers is not None  # noqa: S101  # it has its type
            reply.headers.set(b"Retry-After", b"1")
            return reply
        headers = Headers.of(
            [(b"Content-Type", b"text/plain; charset=utf-8"), (b"Cache-Control", b"no-store")]
        )
        return Reply(201, body=token.encode(), headers=headers)

    def _make(self, reservations: Reservations, token: str) -> EventConnection:
        return EventConnection(reservations, token, self._opening, self._pace)

    def _open(self, exchange: Exchange, connection: EventConnection, token: str) -> Reply | None:
        if not accepted(exchange.headers.get(b"accept")).events:
            return refusal(exchange, 406, "A stream is opened with Accept: text/event-stream")
        if connection.taken:
            return refusal(exchange, 409, "Stream already open")
        exchange.carrier = Opener(self._reservations, token)
        return None

    # --- behind that -----------------------------------------------------------------------------------------

    def carry(self, exchange: Exchange, asked: Asked, operation: Operation) -> None:
        """Take an operation that has been examined: carry it, or let it be passed on. Raises Refused."""
        if (
            self._translates
            and self._single
            and exchange.context is not None
            and "graphql-sse" in exchange.context
        ):
            connection = exchange.context["graphql-sse"]
            exchange.carrier = Acting(partial(self._add, exchange, connection, asked, operation))
        elif exchange.request.method == "HEAD":
            return
        elif accepted(exchange.headers.get(b"accept")).events and (
            self._translates or self._sources.shares(operation)
        ):
            _check_written(asked)
            exchange.carrier = EventAnswer(self._opening, asked, operation, self._pace, self._encode)

    def _add(
        self, exchange: Exchange, connection: EventConnection, asked: Asked, operation: Operation
    ) -> Reply:
        name = asked.extensions.get("operationId")
        if not isinstance(name, str) or not name:
            return refusal(exchange, 400, "Operation ID is missing")
        if name in connection:
            return refusal(exchange, 409, "Operation with ID already exists")
        if connection.count >= self._most:
            return refusal(exchange, 429, "Too many operations are under way on this stream")
        if not connection.taken and connection.kept + asked.size > MOST_KEPT:
            return refusal(exchange, 429, "Too much is asked for before the stream is open")
        connection.add(name, asked, operation)
        return Reply(202, body=b"")


def make_streams(
    config: Subscriptions, kit: Kit, sources: Sources, results: Results | None = None
) -> EventStreams | None:
    """Return who takes such clients' requests, or None where all of them are passed on."""
    if (
        not config.events.single_connection
        and not config.shared.on
        and config.backend_protocol in {"auto", "sse"}
    ):
        return None
    return EventStreams(config, kit, sources, results)


def _check_written(asked: Asked) -> None:
    """See that what has come in a query string can be asked for in a body; raises Refused."""
    try:
        orjson.dumps(asked.members)
    except orjson.JSONEncodeError:  # a number that is too long, or half a character
        message = "The request holds what cannot be passed on as JSON"
        raise Refused(400, "BAD_REQUEST", message, well_formed=False) from None


def _stop(exchange: Exchange, connection: EventConnection) -> Reply:
    name = operation_id_of(exchange)
    if not name:
        return refusal(exchange, 400, "Operation ID is missing")
    connection.remove(name)
    return Reply(200, body=b"")
