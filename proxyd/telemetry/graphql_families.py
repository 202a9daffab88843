"""Metric families of GraphQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from proxyd.telemetry.operations import Events, Operations

_OPERATION = ("route", "operation", "type")
_KIND = ("route", "type")


def of_operations(operations: Operations) -> Iterator[Metric]:
    """Yield them, one after the other; a process that has met no GraphQL tells the families alone."""
    yield from _per_operation(operations)
    yield from _per_kind(operations)
    yield from _per_route(operations)


def _per_operation(operations: Operations) -> Iterator[Metric]:
    requests = CounterMetricFamily("proxyd_graphql_requests", "GraphQL requests.", labels=_OPERATION)
    seconds = CounterMetricFamily(
        "proxyd_graphql_request_seconds",
        "From the complete request head to the last byte of the answer, all requests together.",
        labels=_OPERATION,
    )
    cost = CounterMetricFamily(
        "proxyd_graphql_request_cost", "The cost of GraphQL requests, all together.", labels=_OPERATION
    )
    errors = CounterMetricFamily(
        "proxyd_graphql_errors",
        "Errors in answers to GraphQL requests, by their code.",
        labels=(*_OPERATION, "code"),
    )
    for meter in list(operations.meters.values()):
        labels = (meter.route, meter.name, meter.type)
        requests.add_metric(labels, meter.requests)
        seconds.add_metric(labels, meter.seconds)
        if meter.cost:
            cost.add_metric(labels, meter.cost)
        for code, count in meter.errors.items():
            errors.add_metric((*labels, code), count)
    yield from (requests, seconds, cost, errors)


def _per_kind(operations: Operations) -> Iterator[Metric]:
    documents = CounterMetricFamily(
        "proxyd_graphql_documents",
        "GraphQL requests, by whether their document was known already.",
        labels=("route", "result"),
    )
    cost = HistogramMetricFamily("proxyd_graphql_cost", "The cost of a GraphQL request.", labels=_KIND)
    depth = HistogramMetricFamily("proxyd_graphql_depth", "How deep a GraphQL request asks.", labels=_KIND)
    results: Events = {}
    for one in list(operations.kinds.values()):
        for result, count in (("hit", one.hits), ("miss", one.misses)):
            results[one.route, result] = results.get((one.route, result), 0) + count
        for family, spread in ((cost, one.cost), (depth, one.depth)):
            if any(spread.counts):
                family.add_metric((one.route, one.type), spread.buckets(), spread.sum)
    for labels, count in results.items():
        documents.add_metric(labels, count)
    yield from (documents, cost, depth)


def _per_route(operations: Operations) -> Iterator[Metric]:
    yield _counter(
        "proxyd_graphql_limits",
        "GraphQL requests over a limit, by whether it is enforced or measured.",
        operations.limits,
        "limit",
        "mode",
    )
    yield _counter(
        "proxyd_graphql_safelist",
        "GraphQL requests, by what the safelist says.",
        operations.safelist,
        "verdict",
    )
    yield _counter(
        "proxyd_graphql_persisted_queries",
        "Requests that name a persisted query, by what came of it.",
        operations.persisted,
        "result",
    )
    yield _counter(
        "proxyd_graphql_deduplicated", "GraphQL requests answered by another one's answer.", operations.shared
    )
    yield _counter(
        "proxyd_graphql_masked_errors", "Errors of backends that clients were not told.", operations.masked
    )
    gauge = GaugeMetricFamily(
        "proxyd_graphql_subscriptions_open", "GraphQL subscriptions that are open.", labels=("route",)
    )
    for labels, count in list(operations.open.items()):
        gauge.add_metric(labels, count)
    yield gauge
    yield _counter("proxyd_graphql_subscriptions_started", "GraphQL subscriptions begun.", operations.started)
    yield _counter(
        "proxyd_graphql_subscription_messages",
        "Results sent to GraphQL subscribers.",
        operations.messages,
    )


def _counter(name: str, text: str, events: Events, *labels: str) -> Metric:
    family = CounterMetricFamily(name, text, labels=("route", *labels))
    for values, count in list(events.items()):
        family.add_metric(values, count)
    return family
