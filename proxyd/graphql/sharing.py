"""Queries that are the same, asked by the same caller at the same time: the backend is asked once, and all have its answer.

What makes two requests the same is everything that the backend would see of them, but for header fields that are listed. An
answer that is too large to be kept, is no JSON, or sets a cookie is nobody else's: then each request goes its own way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from proxyd import plugin
from proxyd.graphql.steps import Step
from proxyd.http1.message import RequestHead, ResponseHead

if TYPE_CHECKING:
    from proxyd.carrier import Call, Pipe, Way
    from proxyd.exchange import Exchange, Reply
    from proxyd.graphql.answers import Answers
    from proxyd.graphql.document import Operation
    from proxyd.graphql.request import Asked
    from proxyd.http1.headers import Headers
    from proxyd.telemetry.operations import Operations

Key = tuple[object, ...]

IGNORED = (
    "b3",
    "baggage",
    "content-length",
    "kong-request-id",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "uber-trace-id",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-correlation-id",
    "x-request-id",
)
# Of the answer, what the gateway writes anew for each client.
_OURS = (b"content-length", b"date", b"server", b"transfer-encoding")
_IN_PARTS = (b"event-stream", b"multipart/")
_NEVER = frozenset({b"authorization", b"cookie"})


class Deduplication(plugin.Config):
    """Whether queries that are the same and under way at the same time are sent to the backend once."""

    queries: bool = False
    """Whether they are: of one caller, who is a consumer with a credential, or else an address."""
    ignored_headers: tuple[str, ...] = IGNORED
    """Header fields in which requests may differ; Authorization and Cookie never are among them."""
    max_size: int = Field(1_048_576, gt=0)
    """Bytes of the largest answer that is shared; of a larger one, each request asks for its own."""


class Sharing(Step):
    """The queries under way, as a step of what operations are held to; one per plugin instance."""

    def __init__(self, config: Deduplication, answers: Answers, operations: Operations) -> None:
        self.answers = answers
        self.operations = operations
        self.max_size = config.max_size
        self.flights: dict[Key, Flight] = {}
        self._ignored = frozenset(name.lower().encode() for name in config.ignored_headers) - _NEVER

    def __repr__(self) -> str:
        return f"<Sharing {len(self.flights)}>"

    def check(self, exchange: Exchange, asked: Asked, operation: Operation) -> None:
        """Carry a query that is alone in its request."""
        del asked
        operated = exchange.graphql
        alone = operated is not None and operated.count == 1
        head = exchange.request.method == "HEAD"  # whose answer has no body to be looked at
        if operation.type != "query" or not alone or exchange.upgraded or head:
            if isinstance(exchange.carrier, Member):
                exchange.carrier = None
        elif exchange.carrier is None and not exchange.request.upgrade:
            accept = exchange.headers.get(b"accept") or b""
            if not any(kind in accept for kind in _IN_PARTS):
                exchange.carrier = Member(self, exchange)

    def key(self, exchange: Exchange) -> Key:
        """Return what is the same of requests that are."""
        request, client, ignored = exchange.request, exchange.client, self._ignored
        consumer, credential = exchange.consumer, exchange.credential
        headers = tuple(
            sorted((name, line) for name, line in request.headers.lines.items() if name not in ignored)
        )
        return (
            exchange.route and exchange.route.id,
            exchange.service and exchange.service.id,
            exchange.upstream_method,
            exchange.scheme,
            exchange.replaced_host or request.host,
            exchange.matched_prefix,
            exchange.replaced_path or request.path,
            request.query,
            exchange.buffered,
            consumer and consumer.id,
            credential and credential.id,
            exchange.anonymous,
            exchange.groups,
            exchange.client_ip if consumer is None or exchange.anonymous else "",
            id(client) if client.certificate is not None else 0,
            headers,
        )


class Member:
    """One request of those that are the same; a ``carrier.Carrier``."""

    __slots__ = ("_flight", "_sharing", "exchange", "way")

    def __init__(self, sharing: Sharing, exchange: Exchange) -> None:
        self.exchange = exchange
        self.way: Way
        self._sharing = sharing
        self._flight: Flight | None = None

    def __repr__(self) -> str:
        return f"<Member {self._flight!r}>"

    def meet(self, way: Way) -> None:
        """Take the way."""
        self.way = way

    def carry(self) -> None:
        """Ask for the answer, or wait for the one that another request has asked for."""
        exchange, sharing = self.exchange, self._sharing
        if exchange.request.framing and exchange.buffered is None:  # nobody has read its body
            self.way.forward()
            return
        key = sharing.key(exchange)
        flight = sharing.flights.get(key)
        if flight is not None:
            self._flight = flight
            exchange.sent = self.way.now()
            flight.members.append(self)
            return
        self._flight = sharing.flights[key] = Flight(sharing, key, self)
        self._flight.begin(self.way)

    def refuse(self, reply: Reply) -> None:
        """Never: there is no WebSocket."""

    def gone(self) -> None:
        """Leave: the others have their answer all the same."""
        if self._flight is not None:
            self._flight.left(self)

    def writable(self, writable: bool) -> None:
        """Hear of a slow client: the answer goes out in one piece."""

    def leave(self) -> None:
        """Go on: this is a request like any."""


class Flight:
    """One request to the backend, and everybody who waits for its answer; a ``carrier.Receiver``."""

    def __init__(self, sharing: Sharing, key: Key, first: Member) -> None:
        self.members = [first]
        self._first = first
        self._sharing = sharing
        self._key = key
        self._call: Call | None = None
        self._head: ResponseHead | None = None
        self._pieces: list[bytes] = []
        self._size = 0

    def __repr__(self) -> str:
        return f"<Flight members={len(self.members)} size={self._size}>"

    def begin(self, way: Way) -> None:
        """Ask the backend, as the first of the requests would."""
        exchange = way.exchange
        asked = exchange.request
        request = RequestHead(
            exchange.upstream_method,
            asked.target,
            asked.path,
            asked.query,
            1,
            asked.host,
            asked.headers.copy(),
            0,
            keep_alive=True,
        )
        self._call = way.ask(request, exchange.buffered, self)

    def left(self, member: Member) -> None:
        """Let a request go whose client is gone; the last one takes the flight with it."""
        if member in self.members:
            self.members.remove(member)
            if not self.members:
                self._end()

    def _end(self) -> list[Member]:
        """Take no more; returns who is waiting."""
        if self._sharing.flights.get(self._key) is self:
            del self._sharing.flights[self._key]
        if self._call is not None:
            self._call.cancel()
        members, self.members = self.members, []
        return members

    def _part(self) -> None:
        """Have everybody go their own way."""
        for member in self._end():
            member.way.forward()

    # --- the answer ------------------------------------------------------------------------------------------

    def head(self, head: ResponseHead) -> None:
        """Take its head; what is one client's alone is asked for again by each."""
        self._head = head
        headers = head.headers
        kind = headers.get(b"content-type") or b""
        if b"json" not in kind.lower() or b"set-cookie" in headers or b"*" in (headers.get(b"vary") or b""):
            self._part()

    def data(self, data: bytes) -> None:
        """Take a piece of its body."""
        self._size += len(data)
        self._pieces.append(data)
        if self._size > self._sharing.max_size:
            self._part()

    def end(self) -> None:
        """Answer everybody."""
        head = self._head
        self._call = None
        if head is None:
            return
        body = b"".join(self._pieces)
        for member in self._end():
            self._answer(member, head, body)

    def failed(self, reply: Reply) -> None:
        """Tell everybody that there is no answer."""
        self._call = None
        for member in self._end():
            self._count(member)
            member.way.reply(self._sharing.answers.fault(member.exchange, reply))

    def switched(self, head: ResponseHead, pipe: Pipe) -> Pipe:
        """Never: no tunnel is asked for."""
        raise NotImplementedError

    def writable(self, writable: bool) -> None:
        """Never: the same."""

    def _answer(self, member: Member, head: ResponseHead, body: bytes) -> None:
        exchange = member.exchange
        self._count(member)
        exchange.response = ResponseHead(
            head.status, head.reason, head.minor, head.headers.copy(), head.framing, head.keep_alive
        )
        exchange.response_ended = member.way.now()
        exchange.response_started = exchange.response_started or exchange.response_ended
        member.way.reply(self._sharing.answers.whole(exchange, head.status, _copied(head.headers), body))

    def _count(self, member: Member) -> None:
        if member is not self._first:
            self._sharing.operations.share(member.exchange)


def _copied(headers: Headers) -> Headers:
    made = headers.copy()
    for name in _OURS:
        made.remove(name)
    return made
