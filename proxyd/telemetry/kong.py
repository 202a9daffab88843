"""Kong's metrics, under Kong's names, so that dashboards made for Kong show this gateway.

They are told while an instance of the prometheus plugin runs, those per route where one has counted. Names, labels
and buckets are those of Kong 3.9 (``kong/plugins/prometheus/exporter.lua``).
"""

from __future__ import annotations

import os
import socket
import uuid
from functools import lru_cache
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    UnknownMetricFamily,
)

from proxyd import __version__
from proxyd.telemetry.families import Piece, sliced
from proxyd.telemetry.histogram import KONG_OWN, KONG_UPSTREAM
from proxyd.telemetry.memory import physical_bytes, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric

    from proxyd.telemetry.histogram import Histogram, Scale
    from proxyd.telemetry.meter import RouteMeter
    from proxyd.telemetry.record import Telemetry
    from proxyd.telemetry.source import ConnectionCounts, Followed, StatusSource
    from proxyd.telemetry.tally import Tallies, Tally

WORKSPACE = "default"  # the one that there is
SUBSYSTEM = "http"
NODE = "kong_node_info"  # which is told wherever anything of a node is
STATES = ("healthchecks_off", "healthy", "unhealthy", "dns_error")

_ROUTE = ("service", "route")


class BareCounter(UnknownMetricFamily):
    """A counter whose name does not end in ``_total``: OpenMetrics knows none, so there its type is unknown."""


@lru_cache(maxsize=1)
def node_id() -> str:
    """Return an id of this machine, the same one after a restart."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, socket.gethostname()))


def pieces(telemetry: Telemetry, source: StatusSource) -> Iterator[Piece]:
    """Yield every family of Kong's that is asked for."""
    if telemetry.tallies.running:
        yield from per_route(telemetry.tallies)
        for metric in others(telemetry, source):
            yield Piece(metric)


def per_route(tallies: Tallies) -> Iterator[Piece]:
    """Yield the families per route and consumer."""
    counted = tallies.all()
    yield from sliced(_requests, _add_requests, [tally for tally in counted if tally.measures.status])
    yield from sliced(_bandwidth, _add_bandwidth, [tally for tally in counted if tally.measures.bandwidth])
    measured = {tally.meter: tally for tally in counted if tally.measures.latency and tally.meter.used}
    for make, add in _LATENCIES:
        yield from sliced(make, add, measured.values())


def others(telemetry: Telemetry, source: StatusSource) -> Iterator[Metric]:
    """Yield the families of the node, where any are asked for."""
    tallies = telemetry.tallies
    if not tallies.running:
        return
    yield from _of_node(source.connections(), telemetry.requests)
    yield of_datastore(source.database)
    yield from _of_memory()
    if any(measures.health for measures in tallies.running):
        yield _health(source)
    yield CounterMetricFamily(
        "kong_nginx_metric_errors",
        "Requests of consumers beyond the limit of series, counted as those of _OTHER.",
        value=tallies.lost,
    )


# --- per route -----------------------------------------------------------------------------------------------


def _requests() -> Metric:
    return CounterMetricFamily(
        "kong_http_requests",
        "Requests answered, by status and by who answered: service or kong.",
        labels=(*_ROUTE, "code", "source", "workspace", "consumer"),
    )


def _add_requests(metric: Metric, tally: Tally) -> None:
    assert isinstance(metric, CounterMetricFamily)  # noqa: S101  # made above
    for code, count in tally.codes.items():
        source = "service" if code > 0 else "kong"
        metric.add_metric(
            (tally.service, tally.route, str(abs(code)), source, WORKSPACE, tally.consumer), count
        )


def _bandwidth() -> Metric:
    return BareCounter(
        "kong_bandwidth_bytes",
        "Bytes of heads and bodies: ingress from clients, egress to them.",
        labels=(*_ROUTE, "direction", "workspace", "consumer"),
    )


def _add_bandwidth(metric: Metric, tally: Tally) -> None:
    assert isinstance(metric, BareCounter)  # noqa: S101  # made above
    for direction, count in (("ingress", tally.bytes_received), ("egress", tally.bytes_sent)):
        metric.add_metric((tally.service, tally.route, direction, WORKSPACE, tally.consumer), count)


_Latency = tuple["Callable[[], Metric]", "Callable[[Metric, Tally], None]"]


def _latency(name: str, text: str, scale: Scale, pick: Callable[[RouteMeter], Histogram]) -> _Latency:
    def make() -> Metric:
        return HistogramMetricFamily(name, text, labels=(*_ROUTE, "workspace"))

    def add(metric: Metric, tally: Tally) -> None:
        histogram = pick(tally.meter)
        assert isinstance(metric, HistogramMetricFamily)  # noqa: S101  # made above
        metric.add_metric(
            (tally.service, tally.route, WORKSPACE),
            histogram.buckets(scale),
            histogram.sum * scale.per_second,
        )

    return make, add


_LATENCIES: tuple[_Latency, ...] = (
    _latency("kong_kong_latency_ms", "The gateway's own part.", KONG_OWN, lambda meter: meter.own),
    _latency("kong_upstream_latency_ms", "The upstream's part.", KONG_UPSTREAM, lambda meter: meter.upstream),
    _latency("kong_request_latency_ms", "The whole.", KONG_UPSTREAM, lambda meter: meter.whole),
)


# --- of the node ---------------------------------------------------------------------------------------------


def _of_node(counts: ConnectionCounts, requests: int) -> Iterator[Metric]:
    node = node_id()
    connections = GaugeMetricFamily(
        "kong_nginx_connections_total",
        "Client connections by what they are doing; accepted, handled and total are since the start.",
        labels=("node_id", "subsystem", "state"),
    )
    for state, value in (
        ("accepted", counts.accepted),
        ("handled", counts.accepted - counts.refused),
        ("total", requests),
        ("active", counts.open),
        ("reading", 0),  # a connection on which a head is arriving counts as waiting
        ("writing", counts.answering),
        ("waiting", counts.idle),
    ):
        connections.add_metric((node, SUBSYSTEM, state), value)
    yield connections
    total = GaugeMetricFamily(
        "kong_nginx_requests_total", "Requests answered since the start.", labels=("node_id", "subsystem")
    )
    total.add_metric((node, SUBSYSTEM), requests)
    yield total
    info = GaugeMetricFamily(NODE, "What runs, and where.", labels=("node_id", "version"))
    info.add_metric((node, __version__), 1)
    yield info


def of_datastore(database: Followed | None) -> Metric:
    """Return the family that whoever has the database tells: one process, or the master."""
    reachable = database is None or database.state.reachable
    return GaugeMetricFamily(
        "kong_datastore_reachable",
        "Whether the database of entities answers: 1 or 0; without one, 1.",
        value=reachable,
    )


def _of_memory() -> Iterator[Metric]:
    """Tell the process's memory where Kong tells that of its Lua machines and dictionaries."""
    node, resident = node_id(), resident_bytes()
    if resident is None:
        return
    worker = GaugeMetricFamily(
        "kong_memory_workers_lua_vms_bytes",
        "Resident memory of the process; there is no Lua in it.",
        labels=("node_id", "pid", "kong_subsystem"),
    )
    worker.add_metric((node, str(os.getpid()), SUBSYSTEM), resident)
    yield worker
    for name, text, value in (
        ("kong_memory_lua_shared_dict_bytes", "Resident memory of the process.", resident),
        ("kong_memory_lua_shared_dict_total_bytes", "Memory of the machine.", physical_bytes()),
    ):
        metric = GaugeMetricFamily(name, text, labels=("node_id", "shared_dict", "kong_subsystem"))
        metric.add_metric((node, "resident_memory", SUBSYSTEM), value)
        yield metric


def _health(source: StatusSource) -> Metric:
    metric = GaugeMetricFamily(
        "kong_upstream_target_health",
        "1 in the state that an address of an upstream's target is in, 0 in the others.",
        labels=("upstream", "target", "address", "state", "subsystem"),
    )
    states = {
        (target.upstream, target.target, target.address): target.health.lower()
        for target in source.targets()
        if target.upstream
    }
    for key, now in states.items():
        for state in STATES:
            metric.add_metric((*key, state, SUBSYSTEM), state == now)
    return metric
