"""Metric families: what the meters and the runtime know, in Prometheus' shape, made when somebody asks.

A family per route can have tens of thousands of samples, and prometheus_client takes about ten microseconds to
write each. So these are made a few routes at a time, and who writes them lets requests through in between.
"""

from __future__ import annotations

import platform
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)

from proxyd import __version__
from proxyd.telemetry.admin_families import of_admin
from proxyd.telemetry.graphql_families import of_operations
from proxyd.telemetry.source_families import of_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import Metric

    from proxyd.telemetry.exemplars import Exemplars
    from proxyd.telemetry.histogram import Histogram
    from proxyd.telemetry.meter import Meters, RouteMeter
    from proxyd.telemetry.record import Telemetry
    from proxyd.telemetry.source import StatusSource

T = TypeVar("T")

SLICE = 4  # routes per piece: about a millisecond of writing

_ROUTE = ("route", "service")


class Piece(NamedTuple):
    """A family, or a part of one: ``continued`` says that its beginning was in a piece before."""

    metric: Metric
    continued: bool = False


def pieces(telemetry: Telemetry, source: StatusSource) -> Iterator[Piece]:
    """Yield every family, those per route in parts that stand behind one another."""
    yield from per_route(telemetry.meters)
    for metric in others(telemetry, source):
        yield Piece(metric)


def per_route(meters: Meters) -> Iterator[Piece]:
    """Yield the families per route."""
    used = list(meters.used())
    for make, add in _PER_ROUTE:
        yield from sliced(make, add, used)


def others(telemetry: Telemetry, source: StatusSource) -> Iterator[Metric]:
    """Yield all other families, one after the other."""
    yield from _of_requests(telemetry)
    yield from of_operations(telemetry.operations)
    yield from of_source(source)
    yield from of_admin(source.admin_counts)
    yield from _of_process(telemetry)
    yield from _of_logs(telemetry)
    yield _of_spans(telemetry)
    yield from telemetry.schemas.families()


def sliced(
    make: Callable[[], Metric], add: Callable[[Metric, T], None], items: Iterable[T]
) -> Iterator[Piece]:
    """Yield a family of what ``add`` makes of many items, in parts."""
    yield Piece(make())
    rest = iter(items)
    while batch := list(islice(rest, SLICE)):
        metric = make()
        for item in batch:
            add(metric, item)
        if metric.samples:
            yield Piece(metric, continued=True)


# --- per route -----------------------------------------------------------------------------------------------


def _requests() -> Metric:
    return CounterMetricFamily(
        "proxyd_http_requests",
        "Requests answered, by route, method and status.",
        labels=(*_ROUTE, "method", "code"),
    )


def _add_requests(metric: Metric, meter: RouteMeter) -> None:
    for method, codes in meter.requests.items():
        for code, count in codes.items():
            _count(metric, (meter.route, meter.service, method, str(code)), count)


def _latency(
    name: str,
    text: str,
    pick: Callable[[RouteMeter], Histogram],
    exemplars: Callable[[RouteMeter], Exemplars | None] = lambda _: None,
) -> _PerRoute:
    def make() -> Metric:
        return HistogramMetricFamily(name, text, labels=_ROUTE)

    def add(metric: Metric, meter: RouteMeter) -> None:
        histogram = pick(meter)
        assert isinstance(metric, HistogramMetricFamily)  # noqa: S101  # made above
        labels, kept = (meter.route, meter.service), exemplars(meter)
        if kept is None:
            metric.add_metric(labels, histogram.buckets(), histogram.sum)
        else:
            metric.add_metric(labels, kept.beside(histogram.buckets()), histogram.sum)

    return make, add


def _bytes() -> Metric:
    return CounterMetricFamily(
        "proxyd_http_body_bytes",
        "Bytes of bodies: received from clients, sent to them.",
        labels=(*_ROUTE, "direction"),
    )


def _add_bytes(metric: Metric, meter: RouteMeter) -> None:
    _count(metric, (meter.route, meter.service, "received"), meter.bytes_received)
    _count(metric, (meter.route, meter.service, "sent"), meter.bytes_sent)


def _aborted() -> Metric:
    return CounterMetricFamily(
        "proxyd_http_requests_aborted",
        "Requests whose answer was cut short, by the client or by a failure on the way.",
        labels=_ROUTE,
    )


def _add_aborted(metric: Metric, meter: RouteMeter) -> None:
    _count(metric, (meter.route, meter.service), meter.aborted)


def _retries() -> Metric:
    return CounterMetricFamily(
        "proxyd_retries", "Further tries, by what came of the request.", labels=(*_ROUTE, "outcome")
    )


def _add_retries(metric: Metric, meter: RouteMeter) -> None:
    _count(metric, (meter.route, meter.service, "success"), meter.retries_made_good)
    _count(metric, (meter.route, meter.service, "failure"), meter.retries_failed)


def _failures() -> Metric:
    return CounterMetricFamily(
        "proxyd_upstream_failures",
        "Requests that could not be carried, by what went wrong and who was at fault.",
        labels=(*_ROUTE, "kind", "source"),
    )


def _add_failures(metric: Metric, meter: RouteMeter) -> None:
    for (kind, who), count in meter.failures.items():
        _count(metric, (meter.route, meter.service, kind, who), count)


def _count(metric: Metric, labels: tuple[str, ...], value: int) -> None:
    assert isinstance(metric, CounterMetricFamily)  # noqa: S101  # each add is paired with its make
    metric.add_metric(labels, value)


_PerRoute = tuple["Callable[[], Metric]", "Callable[[Metric, RouteMeter], None]"]

_PER_ROUTE: tuple[_PerRoute, ...] = (
    (_requests, _add_requests),
    _latency(
        "proxyd_http_request_duration_seconds",
        "From the complete request head to the last byte of the answer.",
        lambda meter: meter.whole,
        lambda meter: meter.exemplars,
    ),
    _latency(
        "proxyd_upstream_duration_seconds",
        "The upstream's part of it: waiting for a connection and for the answer.",
        lambda meter: meter.upstream,
    ),
    _latency(
        "proxyd_overhead_seconds",
        "The gateway's own part of it, which the latency budget is about.",
        lambda meter: meter.own,
    ),
    _latency(
        "proxyd_upstream_connect_seconds",
        "Waiting for a new upstream connection, name resolution and TLS included.",
        lambda meter: meter.connect,
    ),
    (_bytes, _add_bytes),
    (_aborted, _add_aborted),
    (_retries, _add_retries),
    (_failures, _add_failures),
)


# --- of the whole process ------------------------------------------------------------------------------------


def _of_requests(telemetry: Telemetry) -> Iterator[Metric]:
    budget = GaugeMetricFamily(
        "proxyd_latency_budget_seconds",
        "The edges of the budget for the gateway's own part.",
        labels=("edge",),
    )
    exceeded = CounterMetricFamily(
        "proxyd_latency_budget_exceeded", "Requests whose own part was beyond an edge.", labels=("edge",)
    )
    for edge, seconds, count in zip(("lower", "upper"), telemetry.budget, telemetry.over_budget, strict=True):
        budget.add_metric((edge,), seconds)
        exceeded.add_metric((edge,), count)
    yield budget
    yield exceeded
    slow = CounterMetricFamily(
        "proxyd_slow_requests",
        "Requests that took the gateway longer than the log of slow requests allows.",
        labels=("route",),
    )
    counts: dict[str, int] = {}
    for meter in telemetry.meters.used():
        if meter.slow:
            counts[meter.route] = counts.get(meter.route, 0) + meter.slow
    for route, count in counts.items():
        slow.add_metric((route,), count)
    yield slow
    yield CounterMetricFamily(
        "proxyd_access_log_dropped_lines",
        "Access lines that were never written, because their destination was slow or failed.",
        value=telemetry.dropped_lines,
    )


def _of_logs(telemetry: Telemetry) -> Iterator[Metric]:
    labels = ("plugin", "destination")
    waiting = GaugeMetricFamily(
        "proxyd_log_records_waiting", "Records that log plugins have yet to deliver.", labels=labels
    )
    sent = CounterMetricFamily(
        "proxyd_log_records_sent", "Records that log plugins delivered.", labels=labels
    )
    dropped = CounterMetricFamily(
        "proxyd_log_records_dropped", "Records that log plugins gave up.", labels=labels
    )
    # Outputs that differ only in their settings are one series.
    merged = {key: (0, *counts) for key, counts in telemetry.logs.past.items()}
    for output in telemetry.logs.told():
        key = (output.plugin, output.destination)
        before = merged.get(key, (0, 0, 0))
        merged[key] = (
            before[0] + output.waiting,
            before[1] + output.sent,
            before[2] + output.dropped,
        )
    for key, (now, delivered, lost) in merged.items():
        waiting.add_metric(key, now)
        sent.add_metric(key, delivered)
        dropped.add_metric(key, lost)
    yield from (waiting, sent, dropped)


def _of_spans(telemetry: Telemetry) -> Metric:
    spans = CounterMetricFamily(
        "proxyd_spans",
        "Spans of tracing plugins, by what became of them.",
        labels=("plugin", "result"),
    )
    for plugin, counts in telemetry.deliveries.by_plugin.items():
        for result in ("sent", "dropped", "failed"):
            spans.add_metric((plugin, result), getattr(counts, result))
    return spans


def _of_process(telemetry: Telemetry) -> Iterator[Metric]:
    lag = telemetry.loop_lag
    yield HistogramMetricFamily(
        "proxyd_eventloop_lag_seconds",
        "How late a timer of the event loop was, measured four times a second.",
        buckets=lag.buckets(),
        sum_value=lag.sum,
    )
    yield InfoMetricFamily(
        "proxyd_build",
        "What runs.",
        value={"version": __version__, "python": platform.python_version()},
    )
