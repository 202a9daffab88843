"""zipkin: traces to a Zipkin collector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.bases import tracing
from proxyd.model.base import Milliseconds
from proxyd.model.grammar import HeaderName
from proxyd.telemetry.kong import node_id
from proxyd.telemetry.meter import METHODS, OTHER
from proxyd.telemetry.operated import attributes
from proxyd.telemetry.spans import ANSWERED, MAX_TEXT, Event, asked, client_span, server_span
from proxyd.telemetry.zipkin import PEER, PEER_NAME, ZipkinSender, tags_of

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.telemetry.spans import Span, Trace, Value

# What a static tag cannot say, because the plugin does (PROTECTED_TAGS of Kong's schema).
PROTECTED = frozenset(
    {
        *("error", "http.method", "http.path", "http.status_code", "kong.balancer.state"),
        *("kong.balancer.try", "kong.consumer", "kong.credential", "kong.node.id", "kong.route"),
        *("kong.service", "lc", "peer.hostname", PEER, PEER_NAME),
    }
)


class Tag(plugin.Config):
    """A tag that every request's span has."""

    name: str = Field(min_length=1)
    """Its name."""
    value: str = Field(min_length=1)
    """Its value."""


class Config(tracing.Config):
    """Settings of zipkin (Kong's ``kong/plugins/zipkin/schema.lua``)."""

    http_endpoint: tracing.Endpoint | None = Field(None, repr=False)
    """URL of the collector, path included: usually one that ends in /api/v2/spans; none: contexts are passed on only."""
    sample_ratio: float = Field(0.001, ge=0, le=1)
    """Share of requests without a decision in their context that are recorded."""
    local_service_name: str = Field("kong", min_length=1)
    """Name of the gateway."""
    default_service_name: str | None = Field(None, min_length=1)
    """Name of services that have none."""
    include_credential: bool = True
    """Whether the id of the credential is a tag."""
    traceid_byte_count: Literal[8, 16] = 16
    """Bytes of the ids of traces that begin here."""
    default_header_type: tracing.Writable = "b3"
    """The older name of propagation.default_format."""
    tags_header: HeaderName = "Zipkin-Tags"
    """Request header with further tags, as in: fg=blue; bg=red."""
    static_tags: tuple[Tag, ...] = ()
    """Tags of every request's span."""
    http_span_name: Literal["method", "method_path"] = "method"
    """Whether spans are called by the method alone, or with the path behind it."""
    phase_duration_flavor: Literal["annotations", "tags"] = "annotations"
    """Whether the parts of a request's time are annotations, or tags in milliseconds."""
    connect_timeout: Milliseconds = 2000
    """Milliseconds for a connection to the collector."""

    @model_validator(mode="after")
    def _valid(self) -> Self:
        names = [tag.name for tag in self.static_tags]
        if len(set(names)) < len(names):
            raise ValueError("two static_tags have the same name")
        if taken := sorted(PROTECTED.intersection(names)):
            raise ValueError(f"static_tags cannot set {', '.join(taken)}")
        return self


class Zipkin(tracing.Tracing[Config]):
    """Records a trace of the request and of the upstream's part in it, and hands the upstream its place below."""

    name = "zipkin"
    priority = 100_000
    follows = True

    def prepare(self) -> None:
        """Take over what Kong calls by other names."""
        config = self.config
        self.rate = config.sample_ratio
        self.bits = config.traceid_byte_count * 8
        self.default_format = config.default_header_type
        self._static = {tag.name: tag.value for tag in config.static_tags}
        self._tags_header = config.tags_header.lower().encode()
        super().prepare()

    def sender(self) -> ZipkinSender | None:
        """Return what posts to the collector."""
        config = self.config
        if config.http_endpoint is None:
            return None
        return ZipkinSender(
            self.post(config.http_endpoint, {"Content-Type": "application/json"}), config.local_service_name
        )

    def spans(self, exchange: Exchange, trace: Trace, wall: float) -> list[Span]:
        """Return the request's span, called by its method, and the upstream's part in it."""
        request = exchange.request
        name = request.method if request.method in METHODS else OTHER
        if self.config.http_span_name == "method_path":
            name = f"{name} {request.path[:MAX_TEXT]}"
        spans = [server_span(exchange, trace, wall, name, self._tags(exchange))]
        if asked(exchange):
            proxy = client_span(exchange, trace, wall, f"{name} (proxy)", self._proxy_tags(exchange))
            spans.append(self._with_phases(proxy, spans[0]))
        return spans

    def _tags(self, exchange: Exchange) -> dict[str, Value]:
        request = exchange.request
        tags: dict[str, Value] = {}
        given = request.headers.get(self._tags_header)
        if given is not None:
            told = tags_of(given.decode("utf-8", "backslashreplace"))
            tags.update({name: value for name, value in told.items() if name not in PROTECTED})
        tags |= self._static
        tags |= {
            "lc": "kong",
            "http.method": request.method[:MAX_TEXT],
            "http.host": request.host,
            "http.path": request.path[:MAX_TEXT],
            "http.protocol": f"HTTP/1.{request.minor}",
            "http.status_code": exchange.status,
            "kong.node.id": node_id(),
            PEER: _caller(exchange),
        }
        if exchange.consumer is not None:
            tags["kong.consumer"] = exchange.consumer.id
        if exchange.credential is not None and self.config.include_credential:
            tags["kong.credential"] = exchange.credential.id
        if exchange.graphql is not None:
            tags |= attributes(exchange.graphql)
        return tags

    def _proxy_tags(self, exchange: Exchange) -> dict[str, Value]:
        route, service = exchange.route, exchange.service
        tags: dict[str, Value] = {"kong.balancer.try": exchange.tries, PEER: exchange.peer}
        if route is not None:
            tags["kong.route"] = route.id
            if route.name:
                tags["kong.route_name"] = route.name
        if service is not None:
            tags["kong.service"] = service.id
            if service.name:
                tags["kong.service_name"] = service.name
            tags["peer.hostname"] = service.host
            tags[PEER_NAME] = service.name or self.config.default_service_name or ""
        if exchange.response is not None:
            tags["http.status_code"] = exchange.response.status
        return tags

    def _with_phases(self, proxy: Span, request: Span) -> Span:
        """Tell when Kong's phases began and ended, as far as the exchange knows."""
        head = next((event.time for event in proxy.events if event.name == ANSWERED), 0)
        if self.config.phase_duration_flavor == "tags":
            proxy.attributes["kong.access.duration_ms"] = (proxy.start - request.start) // 1_000_000
            if head:
                proxy.attributes["kong.body_filter.duration_ms"] = (proxy.end - head) // 1_000_000
            return proxy._replace(events=())
        events = [Event("kas", request.start), Event("kaf", proxy.start)]
        if head:
            events += [Event("khs", head), Event("kbf", proxy.end)]
        return proxy._replace(events=tuple(events))


def _caller(exchange: Exchange) -> str:
    """Return the client's address, with its port unless the address is what a proxy forwarded."""
    address, client = exchange.client_ip, exchange.client
    if address != client.peer:
        return address
    return f"[{address}]:{client.peer_port}" if ":" in address else f"{address}:{client.peer_port}"
