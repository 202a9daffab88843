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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import Metric

    from proxyd.telemetry.histogram import Histogram
    from proxyd.telemetry.meter import RouteMeter
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
    meters = list(telemetry.meters.used())
    for make, add in _PER_ROUTE:
        yield from sliced(make, add, meters)
    for metric in (
        *_of_requests(telemetry),
        *_of_traffic(source),
        *_of_targets(source),
        *_of_tls(source),
        *_of_key_sets(source),
        *_of_limits(source),
        *_of_process(telemetry),
        *_of_logs(telemetry),
    ):
        yield Piece(metric)
    for metric in _of_config(source):
        yield Piece(metric)


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


def _latency(name: str, text: str, pick: Callable[[RouteMeter], Histogram]) -> _PerRoute:
    def make() -> Metric:
        return HistogramMetricFamily(name, text, labels=_ROUTE)

    def add(metric: Metric, meter: RouteMeter) -> None:
        histogram = pick(meter)
        assert isinstance(metric, HistogramMetricFamily)  # noqa: S101  # made above
        metric.add_metric((meter.route, meter.service), histogram.buckets(), histogram.sum)

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


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


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
    merged: dict[tuple[str, str], tuple[int, int, int]] = {}
    for output in telemetry.logs:
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


def _of_traffic(source: StatusSource) -> Iterator[Metric]:
    counts = source.connections()
    yield _gauge(
        "proxyd_http_requests_in_flight", "Requests under way, WebSockets left out.", counts.in_flight
    )
    connections = GaugeMetricFamily(
        "proxyd_open_connections", "Client connections, by what they are doing.", labels=("state",)
    )
    connections.add_metric(("answering",), counts.in_flight)
    connections.add_metric(("idle",), counts.idle)
    connections.add_metric(("websocket",), counts.tunnels)
    yield connections
    yield _gauge("proxyd_websockets_open", "WebSocket connections.", counts.tunnels)
    yield CounterMetricFamily(
        "proxyd_connections", "Client connections accepted since the start.", value=counts.accepted
    )
    yield CounterMetricFamily(
        "proxyd_connections_refused",
        "Client connections closed at the connection limit.",
        value=counts.refused,
    )


def _of_targets(source: StatusSource) -> Iterator[Metric]:
    labels = ("upstream", "target", "address")
    healthy = GaugeMetricFamily(
        "proxyd_upstream_healthy", "Whether requests are sent to an address: 1 or 0.", labels=labels
    )
    in_flight = GaugeMetricFamily(
        "proxyd_upstream_requests_in_flight", "Requests under way to an address.", labels=labels
    )
    connections = GaugeMetricFamily(
        "proxyd_upstream_open_connections", "Connections to an address, idle ones included.", labels=labels
    )
    # Peers of one address that differ only in how they are spoken to are one series.
    merged: dict[tuple[str, str, str], tuple[bool, int, int]] = {}
    for target in source.targets():
        key = (target.upstream, target.target, target.address)
        available, requests, opened = merged.get(key, (True, 0, 0))
        merged[key] = (
            available and target.available,
            requests + target.in_flight,
            opened + target.connections,
        )
    for key, (available, requests, opened) in merged.items():
        healthy.add_metric(key, available)
        in_flight.add_metric(key, requests)
        connections.add_metric(key, opened)
    yield from (healthy, in_flight, connections)


def _of_tls(source: StatusSource) -> Iterator[Metric]:
    state = source.tls_state
    expiry = GaugeMetricFamily(
        "proxyd_certificate_expiry_timestamp_seconds",
        "When a certificate ends.",
        labels=("use", "certificate", "name"),
    )
    for one in state.certificates:
        expiry.add_metric((one.use, one.certificate, one.name), one.not_after)
    yield expiry
    renewals = CounterMetricFamily(
        "proxyd_certificate_renewals", "Changes of certificate files that were seen.", labels=("result",)
    )
    renewals.add_metric(("success",), state.succeeded)
    renewals.add_metric(("failure",), state.failed)
    yield renewals
    failures = CounterMetricFamily(
        "proxyd_tls_handshake_failures", "Handshakes with clients that failed.", labels=("reason",)
    )
    for reason, count in state.handshake_failures.items():
        failures.add_metric((reason,), count)
    yield failures


def _of_key_sets(source: StatusSource) -> Iterator[Metric]:
    keys = GaugeMetricFamily(
        "proxyd_jwks_keys", "Keys known of a token issuer, by where they are published.", labels=("uri",)
    )
    fetches = CounterMetricFamily(
        "proxyd_jwks_fetches", "Attempts to fetch the keys of a token issuer.", labels=("uri", "result")
    )
    success = GaugeMetricFamily(
        "proxyd_jwks_last_success_timestamp_seconds",
        "When the keys of a token issuer were last fetched.",
        labels=("uri",),
    )
    for state in source.key_sets():
        keys.add_metric((state.uri,), state.keys)
        fetches.add_metric((state.uri, "success"), state.succeeded)
        fetches.add_metric((state.uri, "failure"), state.failed)
        success.add_metric((state.uri,), state.last_success)
    yield from (keys, fetches, success)


def _of_limits(source: StatusSource) -> Iterator[Metric]:
    counts = source.limits()
    yield CounterMetricFamily(
        "proxyd_limits_strangers",
        "Requests that shared a counter with others', because there was no room for one of their own.",
        value=counts.strangers,
    )
    fallbacks = CounterMetricFamily(
        "proxyd_limits_fallbacks",
        "Requests that were counted by this process alone, by what was away.",
        labels=("away",),
    )
    for away, count in counts.fallbacks.items():
        fallbacks.add_metric((away,), count)
    yield fallbacks


def _of_config(source: StatusSource) -> Iterator[Metric]:
    config = source.config
    yield _gauge(
        "proxyd_config_generation", "How many configurations have been taken over.", config.generation
    )
    reloads = CounterMetricFamily(
        "proxyd_config_reloads", "Attempts to load a configuration.", labels=("result",)
    )
    reloads.add_metric(("success",), config.succeeded)
    reloads.add_metric(("failure",), config.failed)
    yield reloads
    yield _gauge(
        "proxyd_config_last_reload_success",
        "Whether the last attempt to load a configuration was a success: 1 or 0.",
        config.last_succeeded,
    )
    yield _gauge(
        "proxyd_config_last_success_timestamp_seconds",
        "When a configuration was last taken over.",
        config.last_success,
    )
    yield InfoMetricFamily(
        "proxyd_config_hash", "The configuration that runs.", value={"hash": config.digest}
    )


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
