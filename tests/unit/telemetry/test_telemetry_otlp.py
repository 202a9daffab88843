"""A batch as OTLP."""

from __future__ import annotations

import pytest

from proxyd.telemetry.spans import Event, Span, Trace

pytest.importorskip("opentelemetry.exporter.otlp.proto.common", reason="the extra otel is not installed")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Encoded
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from proxyd.telemetry.otlp import SLICE, OtlpSender

TRACE = Trace(0x1A, 0x0F, 0x2B, 0x3C)


def span(number=0, **values):
    given = {
        "trace": TRACE,
        "span_id": 0x2B,
        "parent_id": 0x0F,
        "name": f"span {number}",
        "kind": "SERVER",
        "start": 1_700_000_000_000_001_000,
        "end": 1_700_000_000_050_001_000,
        "error": "",
        "attributes": {"text": "a", "number": 5, "yes": True},
        **values,
    }
    return Span(**given)


def sent(batch, **resource):
    """Return what one batch is to a collector: resources and spans."""
    bodies = []
    OtlpSender(bodies.append, resource).send(batch)
    (body,) = bodies
    message = ExportTraceServiceRequest.FromString(body)
    spans = [one for each in message.resource_spans for scope in each.scope_spans for one in scope.spans]
    return message.resource_spans, spans


def test_a_batch_of_any_size_is_one_message():
    """It is encoded a slice at a time, and that is not to be seen."""
    count = 2 * SLICE + 1
    _, spans = sent([span(number) for number in range(count)])
    assert [one.name for one in spans] == [f"span {number}" for number in range(count)]


def test_a_span_is_what_it_was():
    """Ids, times, kind, status, attributes by their types, events."""
    one = span(kind="CLIENT", error="reset", events=(Event("connected", 1_700_000_000_010_000_000),))
    _, (encoded,) = sent([one])
    assert (encoded.trace_id, encoded.span_id) == (b"\0" * 15 + b"\x1a", b"\0" * 7 + b"\x2b")
    assert encoded.parent_span_id == b"\0" * 7 + b"\x0f"
    assert (encoded.start_time_unix_nano, encoded.end_time_unix_nano) == (one.start, one.end)
    assert encoded.kind == Encoded.SPAN_KIND_CLIENT
    assert encoded.status.code == Status.STATUS_CODE_ERROR
    kinds = {each.key: each.value.WhichOneof("value") for each in encoded.attributes}
    assert kinds == {"text": "string_value", "number": "int_value", "yes": "bool_value"}
    assert [(event.name, event.time_unix_nano) for event in encoded.events] == [
        ("connected", 1_700_000_000_010_000_000)
    ]


def test_a_span_without_a_parent_or_an_error_says_nothing_of_them():
    """A root, and a status that is not set."""
    _, (encoded,) = sent([span(parent_id=0)])
    assert encoded.parent_span_id == b""
    assert encoded.status.code == Status.STATUS_CODE_UNSET


def test_the_resource_is_the_gateways_and_the_configurations():
    """What the configuration says takes the place of the usual."""
    (resource,), _ = sent([span()], **{"service.name": "edge", "team": "a"})
    told = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert (told["service.name"], told["team"]) == ("edge", "a")
    assert told["service.version"]
    assert told["service.instance.id"]
