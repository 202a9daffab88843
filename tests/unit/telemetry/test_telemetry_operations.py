"""What is counted of GraphQL, and that clients cannot make time series."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from proxyd.exchange import Operated
from proxyd.model.entities import Route
from proxyd.telemetry.graphql_families import of_operations
from proxyd.telemetry.meter import RouteMeter
from proxyd.telemetry.operations import CODES, OTHER, Operations
from proxyd.telemetry.sums import Sums, plain


class _Told(Collector):
    def __init__(self, families):
        self.families = families

    def collect(self):
        return self.families


def told(families):
    """Return the samples of families by what stands before the value."""
    registry = CollectorRegistry()
    registry.register(_Told(list(families)))
    lines = [line for line in generate_latest(registry).decode().splitlines() if line[:1] != "#"]
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines)
        if "_created" not in name
    }


@pytest.fixture
def seen(exchange_of):
    """Return a function that has an operation counted."""

    def see(operations, name="Users", kind="query", room=100, route="api", **operated):
        exchange = exchange_of()
        exchange.route = Route(id="1", name=route)
        exchange.started, exchange.ended = 1.0, 1.5
        operations.observe(exchange, Operated(name, kind, **operated), room)
        return exchange

    return see


def test_operations_are_counted_by_name_and_type(seen):
    """With their time, cost and errors; documents by whether they were known."""
    operations = Operations()
    seen(operations, cost=7, depth=3, codes=("FORBIDDEN", "none"))
    seen(operations, cost=8, known=True, codes=("FORBIDDEN",))
    seen(operations, name="", kind="mutation")
    samples = told(of_operations(operations))
    labels = '{operation="Users",route="api",type="query"}'
    assert samples[f"proxyd_graphql_requests_total{labels}"] == 2
    assert samples[f"proxyd_graphql_request_seconds_total{labels}"] == 1.0
    assert samples[f"proxyd_graphql_request_cost_total{labels}"] == 15
    assert samples['proxyd_graphql_requests_total{operation="",route="api",type="mutation"}'] == 1
    assert (
        samples['proxyd_graphql_errors_total{code="FORBIDDEN",operation="Users",route="api",type="query"}']
        == 2
    )
    assert samples['proxyd_graphql_documents_total{result="hit",route="api"}'] == 1
    assert samples['proxyd_graphql_documents_total{result="miss",route="api"}'] == 2
    assert samples['proxyd_graphql_cost_bucket{le="5",route="api",type="query"}'] == 0
    assert samples['proxyd_graphql_cost_bucket{le="10",route="api",type="query"}'] == 2
    assert samples['proxyd_graphql_depth_sum{route="api",type="query"}'] == 3


def test_names_beyond_the_room_are_counted_together(seen):
    """Of each route for itself; those that were there first go on."""
    operations = Operations()
    for number in range(50):
        seen(operations, name=f"Made{number}", room=2)
        seen(operations, name=f"Made{number}", room=0, route="none")
    seen(operations, name="Made1", room=2)
    seen(operations, name="x" * 1000, room=-1)
    seen(operations, name="", room=0, kind="invented")
    counts = {(one.route, one.name): one.requests for one in operations.meters.values()}
    assert counts == {
        ("api", "Made0"): 1,
        ("api", "Made1"): 2,
        ("api", OTHER): 48 + 1,
        ("api", ""): 1,
        ("none", OTHER): 50,
    }
    assert {one.type for one in operations.meters.values()} == {"query", ""}


def test_codes_are_bounded_too(seen):
    """A backend makes them."""
    operations = Operations()
    for number in range(CODES + 10):
        seen(operations, codes=(f"CODE_{number}",))
    (meter,) = operations.meters.values()
    assert len(meter.errors) == CODES + 1
    assert meter.errors[OTHER] == 10


def test_events_are_counted_by_route(seen):
    """Limits, safelists, persisted queries, masked errors, shared answers, subscriptions."""
    operations = Operations()
    exchange = seen(operations)
    seen(operations, exceeded=("depth",))
    seen(operations, refused_by="depth", codes=("LIMIT_EXCEEDED",))
    operations.listed(exchange, "refused")
    operations.persist(exchange, "hit")
    operations.share(exchange)
    operations.mask(exchange, 3)
    for _ in range(3):
        operations.begin(exchange)
        operations.message(exchange)
    operations.end(exchange)
    samples = told(of_operations(operations))
    assert samples['proxyd_graphql_limits_total{limit="depth",mode="enforce",route="api"}'] == 1
    assert samples['proxyd_graphql_limits_total{limit="depth",mode="measure",route="api"}'] == 1
    assert samples['proxyd_graphql_safelist_total{route="api",verdict="refused"}'] == 1
    assert samples['proxyd_graphql_persisted_queries_total{result="hit",route="api"}'] == 1
    assert samples['proxyd_graphql_deduplicated_total{route="api"}'] == 1
    assert samples['proxyd_graphql_masked_errors_total{route="api"}'] == 3
    assert samples['proxyd_graphql_subscriptions_open{route="api"}'] == 2
    assert samples['proxyd_graphql_subscriptions_started_total{route="api"}'] == 3
    assert samples['proxyd_graphql_subscription_messages_total{route="api"}'] == 3


def test_workers_are_summed(seen):
    """A worker that has ended counts on, but for its subscriptions."""
    total = Sums()
    for ended in (False, True):
        operations = Operations()
        operations.begin(seen(operations, cost=1))
        total.add((plain(metric) for metric in of_operations(operations)), "1", ended=ended)
    samples = told(total.metrics())
    assert samples['proxyd_graphql_requests_total{operation="Users",route="api",type="query"}'] == 2
    assert samples['proxyd_graphql_cost_bucket{le="1",route="api",type="query"}'] == 2
    assert samples['proxyd_graphql_subscriptions_started_total{route="api"}'] == 2
    assert samples['proxyd_graphql_subscriptions_open{route="api"}'] == 1


def test_what_was_counted_of_a_route_that_is_gone_is_forgotten(seen):
    """And its names make room; a subscription is open for as long as it is."""
    operations = Operations()
    exchange = seen(operations, room=1, cost=1)
    operations.begin(exchange)
    operations.share(exchange)
    seen(operations, room=1, route="other")
    operations.retain([RouteMeter("other", "s")])
    samples = told(of_operations(operations))
    assert {name for name in samples if 'route="api"' in name} == {
        'proxyd_graphql_subscriptions_open{route="api"}'
    }
    seen(operations, name="New", room=1)
    assert operations.meters["api", "query", "New"].requests == 1
