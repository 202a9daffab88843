"""One request and its answer: the data that the phases, the forwarder and the log share.

An ``Exchange`` is made when a request head is complete and recorded exactly once when its answer is over,
whichever way that happens. It holds no I/O: who moves the bytes is ``gateway`` and ``downstream``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from proxyd.crypto.certificate import ClientCertificate  # noqa: TC001  # a compiled dataclass needs its types

if TYPE_CHECKING:
    from asyncio import Future

    from proxyd.errors import GatewayError
    from proxyd.http1.headers import Headers
    from proxyd.http1.message import RequestHead, ResponseHead
    from proxyd.model.entities import Consumer, Route, Service, Stored


@dataclass(eq=False)
class Client:
    """Who is at the other end of a downstream connection; one per connection.

    ``peer`` is the address of the socket's other end, ``scheme`` http or https, ``port`` the listener's.
    ``trusted`` tells whether the peer is in ``trusted_ips``, so that what it forwards is believed.
    """

    peer: str
    peer_port: int
    scheme: str
    port: int
    trusted: bool = False
    sni: str = ""
    tls_version: str = ""
    certificate: ClientCertificate | None = None  # that the client has proved to hold
    forwarded: bytes = b""  # header lines for the upstream that are the same for every request
    address: str = ""  # of the socket's own end
    number: int = 0  # of the connection, where correlation-id tells them apart
    tracked: int = 0  # requests on it that have been told so


@dataclass(eq=False)
class Reply:
    """An answer that the gateway gives itself.

    With ``body`` None, the message is rendered in the shape that the client accepts; otherwise ``body`` goes
    out as it is, with the Content-Type that ``headers`` holds. ``fault`` marks what went wrong in carrying the
    request, as against what a policy decided: the setting ``error_default_type`` is about those.
    """

    status: int
    message: str = ""
    body: bytes | None = None
    headers: Headers | None = None
    fault: bool = False


class BodySource(Protocol):
    """Where the rest of a request's body comes from."""

    def read(self, limit: int) -> Future[bytes]:
        """Read the whole body, at most ``limit`` bytes; raises ProtocolError(413) beyond.

        What is returned is done already where the body has come with its head.
        """


class Permit(Protocol):
    """A place among the requests that wait for a service, taken by overload control."""

    def answered(self, exchange: Exchange, status: int, now: float) -> None:
        """Give it back with the first byte of the answer."""

    def left(self, exchange: Exchange, now: float) -> None:
        """Give it back without an answer."""

    def put_off(self, exchange: Exchange) -> None:
        """Give it back until the client has sent its body."""

    def resume(self, exchange: Exchange, now: float) -> None:
        """Take it again then."""


@dataclass(eq=False)
class Operated:
    """What a GraphQL request asks for: for logs, metrics and traces, and for who counts its cost.

    Of a batch, the first operation's name stands for all, ``cost`` is their sum and ``depth`` the deepest one's.
    """

    name: str = ""  # empty for an anonymous operation
    type: str = ""  # query, mutation or subscription; empty where it could not be told
    digest: str = ""  # SHA-256 of the document, in hexadecimal
    depth: int = 0
    cost: int = 0  # 0 where none is computed
    known: bool = False  # the document was examined before
    listed: bool = False  # it is on the safelist
    count: int = 1  # of operations
    codes: tuple[str, ...] = ()  # of the errors that the client is told
    exceeded: tuple[str, ...] = ()  # limits that it is beyond and that are only measured, each once
    refused_by: str = ""  # the limit that it was refused for

    def exceed(self, *limits: str) -> None:
        """Note limits that it is beyond; operations of one WebSocket are noted together, however many there are."""
        for limit in limits:
            if limit not in self.exceeded:
                self.exceeded += (limit,)


# RFC 9110 section 9.2.2, without TRACE, which is not forwarded
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})

NOBODY: Final = None  # the default of an attribute that is a Protocol: mypyc leaves the word None out there


class Exchange:
    """One request and its answer.

    Times are monotonic seconds, 0.0 while the moment has not come; byte counts are of bodies
    where their names do not say head. Defaults are the class's, so that making one sets six attributes and not
    forty: no slots, for once.
    """

    # What was matched.
    request_id = ""
    traceparent = ""  # the trace that it is part of, as a traceparent tells it
    route: Route | None = None
    service: Service | None = None
    matched_prefix = ""  # what strip_path takes off
    captures: dict[str | int, str] | None = None  # groups of the route's regular expression
    upstream_path = ""  # path and query sent to the upstream
    # What a plugin has the upstream sent instead of what the request says; empty for that.
    replaced_method = ""
    replaced_path = ""  # in its normal form, without the query; the service's path is not put before it
    replaced_host = ""
    # Who asks, once a plugin has found out.
    consumer: Consumer | None = None
    credential: Stored | None = None
    anonymous = False  # the consumer is the one that unknown callers count as
    groups: tuple[str, ...] | None = None  # that an authentication plugin vouches for, as a token's claim may
    claims: dict[str, Any] | None = None  # of the token that was verified
    context: dict[str, Any] | None = None  # what plugins keep for their later phases, by plugin name
    shared: dict[str, Any] | None = None  # what they hand to templates, as in Kong's kong.ctx.shared
    correlation_id = b""  # what correlation-id took over or made
    # The body, for plugins that ask for it.
    body: BodySource | None = NOBODY
    buffered: bytes | None = None  # the whole of it, once one has
    body_limit = -1  # bytes that a plugin lets it have, -1 for the setting's alone
    # GraphQL, and other requests that are not just forwarded.
    graphql: Operated | None = None
    carrier: Any = None  # a carrier.Carrier that carries it instead of the forwarder
    way: Any = None  # the carrier.Way that it was given
    # The upstream's side.
    peer = ""  # the target tried last, as configured
    address = ""  # what that resolved to
    tries = 0
    circuit = 0  # what this try is judged by in its upstream's circuit; negative once it is
    # Where a plugin vouches that the request may be sent again: the statuses of answers that it is sent again for.
    repeatable: frozenset[int] | None = None
    retrying = False  # this try is a further one, of those that its upstream counts
    failed_tries: list[tuple[str, int]] | None = None  # address and status of each that failed
    response: ResponseHead | None = None
    own_headers: Headers | None = None  # of the answer, where the gateway gave it itself
    error: GatewayError | None = None
    permit: Permit | None = NOBODY  # held until its answer begins
    deferred: Permit | None = NOBODY  # to be held once its body is there
    admitted = 0.0  # when it was taken
    # What came of it.
    refusal = ""  # why the request was not taken, for the log
    status = 0  # as sent to the client; 499 when it went away first
    upgraded = False
    aborted = False  # the answer was cut short
    bytes_received = 0
    bytes_sent = 0
    head_received = 0  # bytes of the request's head, as it came
    head_sent = 0  # bytes of the answer's head, 0 where none was sent
    # When.
    body_waited = 0.0  # seconds that phases waited for the client to send its body
    dialled = 0.0  # waiting for a connection began; the first try, if it failed
    connected = 0.0  # a connection to the upstream was at hand
    sent = 0.0  # the head was handed to it
    asked = 0.0  # the last of the body was too: from here on, it is the upstream that takes the time
    response_started = 0.0  # its answer's head was complete
    response_ended = 0.0  # its answer's last byte was read
    ended = 0.0  # the client's last byte was written
    # Where plugins are timed: what began (a plugin and a phase, or None for neither) and when, in their order.
    stamps: list[tuple[tuple[str, str] | None, float]] | None = None
    filtering: dict[str, float] | None = None  # seconds in each plugin's body_filter

    def __init__(self, request: RequestHead, client: Client, started: float) -> None:
        self.request = request
        self.client = client
        self.client_ip = client.peer  # corrected by trusted proxies' headers
        self.scheme = client.scheme  # the same
        self.started = started  # the head was complete

    def __repr__(self) -> str:
        route = self.route.name or self.route.id if self.route else "-"
        return f"<Exchange {self.request.method} {self.request.path} route={route} status={self.status}>"

    def keep(self, name: str, value: Any) -> None:
        """Keep a value in ``context`` for a later phase."""
        if self.context is None:
            self.context = {}
        self.context[name] = value

    @property
    def answer_headers(self) -> Headers | None:
        """The answer's headers as filters left them, without the lines that the gateway adds about itself."""
        if self.own_headers is not None:
            return self.own_headers
        return self.response.headers if self.response is not None else None

    @property
    def upstream_method(self) -> str:
        """The method that the upstream is asked with."""
        return self.replaced_method or self.request.method

    @property
    def idempotent(self) -> bool:
        """Whether sending the request twice does what sending it once does."""
        return self.repeatable is not None or (self.replaced_method or self.request.method) in IDEMPOTENT

    @property
    def headers(self) -> Headers:
        """The request's headers: what a plugin changes here goes to the upstream."""
        return self.request.headers
