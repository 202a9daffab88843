"""What tracing plugins share: whose trace a request is part of, whether it is recorded, and what the upstream is told.

The context is read and written in ``access``; spans are made in ``log``, of sampled exchanges only, and delivered by a
thread. A request that another plugin answers before has its place in the trace all the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from random import getrandbits
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, WithJsonSchema

from proxyd import plugin
from proxyd.bases.queue import QueueSettings
from proxyd.model.base import Milliseconds
from proxyd.model.grammar import HeaderName
from proxyd.telemetry.post import Post
from proxyd.telemetry.propagation import READERS, WRITERS, Context, write_w3c
from proxyd.telemetry.queue import Limits
from proxyd.telemetry.shipper import Shipper
from proxyd.telemetry.spans import Trace, new_span_id, new_trace_id
from proxyd.transform.rules import Changeable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxyd.exchange import Exchange
    from proxyd.http1.headers import Headers
    from proxyd.telemetry.shipper import Sender
    from proxyd.telemetry.spans import Span

Readable = Literal["w3c", "b3", "jaeger", "ot", "datadog", "aws", "gcp", "instana"]
Writable = Literal["w3c", "b3", "b3-single", "jaeger"]
HeaderType = Literal["preserve", "ignore", "w3c", "b3", "b3-single", "jaeger"]

OLD_ORDER: tuple[Readable, ...] = ("b3", "w3c", "jaeger")  # in which header_type looks for a context
WHOLE = 128  # bits of a trace id
FULL = 1 << 64  # of so many trace ids, the share to be recorded is


def check_endpoint(text: str) -> str:
    """Accept the URL of a collector."""
    try:
        url = urlsplit(text)
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("not a URL that can be posted to", "http://collector:4318/v1/traces")
    return text


Endpoint = Annotated[str, AfterValidator(check_endpoint), WithJsonSchema({"type": "string", "format": "uri"})]


class Propagation(plugin.Config):
    """Which formats of a context are read, taken out and written; takes the place of header_type."""

    extract: tuple[Readable, ...] | None = None
    """Formats looked for, the first one that is there counts; ot, datadog, aws, gcp and instana are never found."""
    clear: tuple[Annotated[HeaderName, Changeable], ...] | None = None
    """Headers taken out once the context is read."""
    inject: tuple[Literal["preserve"] | Writable, ...] | None = None
    """Formats written for the upstream; preserve is the one that was found."""
    default_format: Writable | None = None
    """What preserve is where none was found."""


class Queue(QueueSettings):
    """How spans wait to be sent: as records of logs do, with what is told otherwise here."""

    max_batch_size: int = Field(200, ge=1, le=1_000_000)
    """Spans sent together."""
    max_entries: int = Field(10_000, ge=1, le=1_000_000)
    """Spans that may wait; more are dropped and counted."""
    max_bytes: int | None = Field(None, ge=1)
    """Accepted for Kong's sake: max_entries is the limit."""
    concurrency_limit: Literal[-1, 1] = 1
    """Accepted for Kong's sake: one batch is sent at a time."""

    def limits(self) -> Limits:
        """Return what the shipper is held to."""
        return Limits(**self.model_dump(exclude={"max_bytes", "concurrency_limit"}))


class Config(plugin.Config):
    """Settings that every tracing plugin has."""

    header_type: HeaderType | None = "preserve"
    """What counts where propagation has neither extract, clear nor inject: a format to write beside the one found."""
    propagation: Propagation = Propagation()
    """Which formats of a trace's context are read and written."""
    http_response_header_for_traceid: Annotated[HeaderName, Changeable] | None = None
    """Header in which the client is told the trace's id."""
    queue: Queue = Queue()
    """How spans wait to be sent."""
    connect_timeout: Milliseconds = 1000
    """Milliseconds for a connection to the collector."""
    send_timeout: Milliseconds = 5000
    """Milliseconds for sending to it; the longer one of this and read_timeout holds for both."""
    read_timeout: Milliseconds = 5000
    """Milliseconds for its answer."""


ConfigT = TypeVar("ConfigT", bound=Config)


class Tracing(plugin.Plugin[ConfigT], ABC):
    """Base of the plugins that record traces. A subclass says how, in the methods below."""

    default_format: Writable
    rate: float  # share of the traces that begin here, or whose decision is open, that is recorded
    follows = True  # a parent's decision to sample is believed
    bits = WHOLE  # of the ids of traces that begin here

    @abstractmethod
    def sender(self) -> Sender | None:
        """Return what brings spans to the collector, None where contexts are only passed on."""

    @abstractmethod
    def spans(self, exchange: Exchange, trace: Trace, wall: float) -> list[Span]:
        """Return the spans of an exchange that is over."""

    def queue(self) -> Queue:
        """Return the queue's settings."""
        return self.config.queue

    # --- set up ----------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Decide what is read and written for each format that a request may come with."""
        extract, inject = self._formats()
        self._readers = [(kind, READERS[kind]) for kind in extract if kind in READERS]
        self._writers = {kind: self._writers_for(kind, inject) for kind in ("", *WRITERS)}
        self._clear = tuple(name.lower().encode() for name in self.config.propagation.clear or ())
        self._usual = self._writers[""] == [write_w3c] and not self._clear
        self._short = self.bits < WHOLE
        self._bound = round(self.rate * FULL)
        told = self.config.http_response_header_for_traceid
        self._told = told.encode() if told else b""
        self._shipper: Shipper | None = None
        self._started = False

    async def start(self) -> None:
        """Take hold of what delivers spans."""
        sender = self.sender()
        if sender is None:
            return
        counts, clock, limits = self.kit.deliveries.of(self.name), self.kit.clock, self.queue().limits()
        self._shipper = self.kit.deliveries.acquire(
            self._key(), lambda: Shipper(sender, self._destination, counts, clock.now, limits)
        )
        self._started = True

    def _key(self) -> str:
        return f"{self.name} {self.config.model_dump_json()}"

    def post(self, endpoint: str, headers: Mapping[str, str]) -> Post:
        """Return what posts to the collector at ``endpoint``, which the log knows by its host and port."""
        config = self.config
        self._destination = urlsplit(endpoint).netloc.rpartition("@")[2]
        timeout = max(config.send_timeout, config.read_timeout) / 1000
        return Post(endpoint, headers, config.connect_timeout / 1000, timeout)

    def _formats(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the formats to read and to write (``get_plugin_params`` in kong/tracing/propagation/init.lua)."""
        propagation, old = self.config.propagation, self.config.header_type
        new = propagation.extract, propagation.clear, propagation.inject
        if old is None or any(one is not None for one in new):
            return propagation.extract or (), propagation.inject or ()
        if old == "ignore":
            return (), (self._default(),)
        return OLD_ORDER, ("preserve",) if old == "preserve" else ("preserve", old)

    def _default(self) -> Writable:
        return self.config.propagation.default_format or self.default_format

    def _writers_for(self, found: str, inject: tuple[str, ...]) -> list[Callable[[Headers, Context], None]]:
        kinds = [(found or self._default()) if kind == "preserve" else kind for kind in inject]
        return [WRITERS[kind] for kind in dict.fromkeys(kinds)]

    # --- phases ----------------------------------------------------------------------------------------------

    def access(self, exchange: Exchange) -> None:
        """Find the request's place in its trace, and tell the upstream."""
        headers = exchange.headers
        if self._usual and headers.raw is not None and not exchange.traceparent:
            trace_id = getrandbits(self.bits) or 1
            if trace_id % FULL < self._bound:
                self._record(exchange, trace_id, 0, short=self._short)
            else:
                exchange.keep(self.name, None)
                exchange.traceparent = f"00-{trace_id:032x}-{getrandbits(64) or 1:016x}-00"
            headers.append(b"traceparent: %b\r\n" % exchange.traceparent.encode())
            return
        found, context = self._begin(exchange)
        for name in self._clear:
            headers.remove(name)
        for write in self._writers[found]:
            write(headers, context)

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> None:
        """Tell the client the trace's id, if asked to."""
        del status
        if self._told:
            if exchange.context is None or self.name not in exchange.context:
                self._begin(exchange)
            headers.set(self._told, exchange.traceparent[3:35].encode())

    def log(self, exchange: Exchange) -> None:
        """Make the spans of a sampled exchange, and have them delivered."""
        if exchange.context is None or self.name not in exchange.context:
            self._begin(exchange)  # another plugin has answered
        trace = exchange.context[self.name]  # type: ignore[index]  # by now
        if trace is not None and self._shipper is not None:
            clock = self.kit.clock
            for span in self.spans(exchange, trace, clock.time() - clock.now()):
                self._shipper.offer(span)
            if exchange.route is not None:
                self.kit.meters.for_route(exchange.route, exchange.service).exemplify(exchange, clock.time())

    async def stop(self) -> None:
        """Let go of it; what ends later is delivered all the same, where another instance holds it still."""
        if self._started:
            self._started = False
            await self.kit.deliveries.release(self._key())

    # --- the trace -------------------------------------------------------------------------------------------

    def _begin(self, exchange: Exchange) -> tuple[str, Context]:
        """Decide whether the exchange is recorded; returns the format found, and the context for the upstream."""
        found, incoming = self._read(exchange)
        known = incoming is not None and incoming.trace_id != 0
        trace_id = incoming.trace_id if incoming is not None and known else new_trace_id(self.bits)
        short = incoming.short if incoming is not None and known else self._short
        parent = incoming.span_id if incoming is not None else 0
        if self._sampled(trace_id, incoming.sampled if incoming is not None else None):
            return found, self._record(exchange, trace_id, parent, short=short)
        context = Context(trace_id, parent or new_span_id(), False, 0, short)
        exchange.keep(self.name, None)
        exchange.traceparent = context.traceparent
        return found, context

    def _record(self, exchange: Exchange, trace_id: int, parent: int, *, short: bool) -> Context:
        """Have the exchange recorded; returns the context for the upstream, which is a child of its own."""
        trace = Trace(trace_id, parent, new_span_id(), new_span_id(), short)
        exchange.keep(self.name, trace)
        context = Context(trace_id, trace.client_id, True, trace.server_id, short)
        exchange.traceparent = context.traceparent
        return context

    def _read(self, exchange: Exchange) -> tuple[str, Context | None]:
        headers = exchange.headers
        if headers.raw is None or exchange.traceparent:  # a plain head has no context
            for kind, read in self._readers:
                context = read(headers)
                if context is not None:
                    single = kind == "b3" and b"b3" in headers.lines
                    return "b3-single" if single else kind, context
        return "", None

    def _sampled(self, trace_id: int, parent: bool | None) -> bool:
        if parent is False:
            return False
        return (parent is True and self.follows) or trace_id % FULL < self._bound
