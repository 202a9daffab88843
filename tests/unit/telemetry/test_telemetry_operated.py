"""What a GraphQL request asked for, in records and spans."""

from __future__ import annotations

import pytest

from proxyd.exchange import Operated
from proxyd.plugin import Scope
from proxyd.plugins.zipkin import Zipkin
from proxyd.telemetry.kong_record import Recorder
from proxyd.telemetry.redact import Redactor
from proxyd.telemetry.spans import Trace

TRACE = Trace(1, 0, 2, 3)
ATTRIBUTES = {
    "graphql.operation.name": "Users",
    "graphql.operation.type": "query",
    "proxyd.graphql.document.hash": "ab",
    "proxyd.graphql.cost": 7,
    "proxyd.graphql.depth": 3,
    "proxyd.graphql.errors": "FORBIDDEN,none",
}


@pytest.fixture
def asked(exchange_of):
    exchange = exchange_of()
    exchange.graphql = Operated("Users", "query", "ab", depth=3, cost=7, codes=("FORBIDDEN", "none"))
    return exchange


def of_graphql(attributes):
    return {name: value for name, value in attributes.items() if "graphql" in name}


def test_kongs_record_has_it_where_there_is_any(asked, exchange_of):
    """A member of its own."""
    recorder = Recorder(Redactor())
    assert recorder.record(asked, 0.0)["graphql"]["operation"] == "Users"
    assert "graphql" not in recorder.record(exchange_of(), 0.0)


def test_opentelemetry_has_it_by_its_conventions(asked, exchange_of):
    """In the span of the request; an anonymous operation has no name."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.common", reason="the extra otel is not installed")
    from proxyd.telemetry.otlp import spans_of  # noqa: PLC0415  # the extra may not be installed

    assert of_graphql(spans_of(asked, TRACE, 0.0, Redactor())[0].attributes) == ATTRIBUTES
    assert of_graphql(spans_of(exchange_of(), TRACE, 0.0, Redactor())[0].attributes) == {}
    asked.graphql = Operated(type="mutation")
    assert of_graphql(spans_of(asked, TRACE, 0.0, Redactor())[0].attributes) == {
        "graphql.operation.type": "mutation"
    }


def test_zipkin_has_it_as_tags(asked):
    """By the same names."""
    plugin = Zipkin(Zipkin.Config(), "id", Scope())
    assert of_graphql(plugin.spans(asked, TRACE, 0.0)[0].attributes) == ATTRIBUTES
