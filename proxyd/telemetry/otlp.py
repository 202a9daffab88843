"""Spans to an OpenTelemetry collector: OTLP over HTTP, encoded by OpenTelemetry's own packages.

Attributes follow the HTTP semantic conventions, stable since version 1.23 of OpenTelemetry's conventions. The packages
are an extra, so this module is imported only where a configuration asks for it. Their exporter is not used: it tries
again for itself, tells what went wrong nowhere but in a line of its log per failure, and takes settings from the
environment.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from proxyd import __version__
from proxyd.model.grammar import split_port
from proxyd.telemetry.kong import node_id
from proxyd.telemetry.meter import METHODS, OTHER
from proxyd.telemetry.operated import attributes as of_operation
from proxyd.telemetry.spans import MAX_TEXT, asked, client_span, server_span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxyd.exchange import Exchange
    from proxyd.telemetry.post import Post
    from proxyd.telemetry.redact import Redactor
    from proxyd.telemetry.spans import Span, Trace, Value

SLICE = (
    20  # spans encoded at once: about a millisecond, for which the event loop may wait for the interpreter
)
PAUSE = 0.0005  # seconds that it is left to the loop in between

SCHEMA = "https://opentelemetry.io/schemas/1.23.0"

_KINDS = {"SERVER": SpanKind.SERVER, "CLIENT": SpanKind.CLIENT}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_OK = Status(StatusCode.UNSET)


# --- an exchange's spans -------------------------------------------------------------------------------------


def spans_of(exchange: Exchange, trace: Trace, wall: float, redactor: Redactor) -> list[Span]:
    """Return the request's span ``kong`` and, where an upstream was asked, ``kong.balancer`` below it."""
    spans = [server_span(exchange, trace, wall, "kong", _server(exchange, redactor))]
    if asked(exchange):
        spans.append(client_span(exchange, trace, wall, "kong.balancer", _client(exchange, redactor)))
    for span in spans:
        if span.error:
            span.attributes["error.type"] = span.error
    return spans


def _server(exchange: Exchange, redactor: Redactor) -> dict[str, Value]:
    request = exchange.request
    attributes: dict[str, Value] = {
        "http.request.method": _method(request.method),
        "url.scheme": exchange.scheme,
        "url.path": request.path[:MAX_TEXT],
        "client.address": exchange.client_ip,
        "network.peer.address": exchange.client.peer,
        "network.peer.port": exchange.client.peer_port,
        "network.protocol.version": f"1.{request.minor}",
        "http.response.status_code": exchange.status,
        "http.request.body.size": exchange.bytes_received,
        "http.response.body.size": exchange.bytes_sent,
        "kong.request.id": exchange.request_id,
    }
    if request.host:
        _address(attributes, request.host)
    if request.query:
        attributes["url.query"] = redactor.query(request.query[1:])[:MAX_TEXT]
    agent = request.headers.get(b"user-agent")
    if agent is not None:
        attributes["user_agent.original"] = agent[:MAX_TEXT].decode("utf-8", "backslashreplace")
    route, service, consumer = exchange.route, exchange.service, exchange.consumer
    if route is not None:
        attributes["kong.route"] = route.name or route.id
    if service is not None:
        attributes["kong.service"] = service.name or service.id
    if consumer is not None:
        attributes["kong.consumer"] = consumer.label
    if exchange.graphql is not None:
        attributes.update(of_operation(exchange.graphql))
    return attributes


def _client(exchange: Exchange, redactor: Redactor) -> dict[str, Value]:
    service = exchange.service
    scheme = service.protocol if service is not None else "http"
    url = redactor.url(f"{scheme}://{exchange.peer}{exchange.upstream_path}")
    attributes: dict[str, Value] = {
        "http.request.method": _method(exchange.request.method),
        "url.full": url[: 2 * MAX_TEXT],
    }
    if exchange.peer:
        _address(attributes, exchange.peer)
    if exchange.tries > 1:
        attributes["http.request.resend_count"] = exchange.tries - 1
    if exchange.response is not None:
        attributes["http.response.status_code"] = exchange.response.status
    return attributes


def _method(method: str) -> str:
    return method if method in METHODS else OTHER


def _address(attributes: dict[str, Value], text: str) -> None:
    host, port = split_port(text)
    attributes["server.address"] = host
    if port is not None:
        attributes["server.port"] = port


# --- delivery ------------------------------------------------------------------------------------------------


class OtlpSender:
    """Hands batches to a collector; ``resource`` is what it is told of the gateway beside the usual."""

    def __init__(self, post: Post, resource: Mapping[str, str]) -> None:
        self._post = post
        self._breath = threading.Event()  # never set
        self._resource = Resource(
            {
                "service.name": "kong",
                "service.version": __version__,
                "service.instance.id": node_id(),
                **resource,
            }
        )
        self._scope = InstrumentationScope("proxyd", __version__, SCHEMA)

    def send(self, batch: Sequence[Span]) -> None:
        """Deliver a batch; raises DeliveryError."""
        parts = []
        for start in range(0, len(batch), SLICE):
            spans = [self._convert(span) for span in batch[start : start + SLICE]]
            parts.append(encode_spans(spans).SerializeToString())
            self._breath.wait(PAUSE)
        self._post(b"".join(parts))  # of repeated fields, as they all are, the parts together are the whole

    def _convert(self, span: Span) -> ReadableSpan:
        trace = span.trace.trace_id
        # A parent of the server's span is another process's, of all others this one's.
        parent = (
            SpanContext(trace, span.parent_id, span.kind == "SERVER", _SAMPLED) if span.parent_id else None
        )
        return ReadableSpan(
            name=span.name,
            context=SpanContext(trace, span.span_id, is_remote=False, trace_flags=_SAMPLED),
            parent=parent,
            resource=self._resource,
            attributes=span.attributes,
            events=tuple(Event(event.name, timestamp=event.time) for event in span.events),
            kind=_KINDS[span.kind],
            status=Status(StatusCode.ERROR) if span.error else _OK,
            start_time=span.start,
            end_time=span.end,
            instrumentation_scope=self._scope,
        )
