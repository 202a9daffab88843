"""Metric families of overload control; none where it is off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from proxyd.telemetry.source import StatusSource


def of_overload(source: StatusSource) -> Iterator[Metric]:
    """Yield them, one after the other."""
    state = source.overload()
    if state is None:
        return
    shed = CounterMetricFamily(
        "proxyd_shed_requests",
        "Requests refused in an overload, by whose it was and their priority.",
        labels=("reason", "priority"),
    )
    for labels, count in state.shed.items():
        shed.add_metric(labels, count)
    yield shed
    limit = GaugeMetricFamily(
        "proxyd_concurrency_limit", "Requests that may wait for a service's answer.", labels=("service",)
    )
    in_flight = GaugeMetricFamily(
        "proxyd_concurrency_in_flight", "Requests that wait for a service's answer.", labels=("service",)
    )
    for one in state.services:
        limit.add_metric((one.service,), one.limit)
        in_flight.add_metric((one.service,), one.in_flight)
    yield from (limit, in_flight)
    yield HistogramMetricFamily(
        "proxyd_queue_seconds",
        "How long requests may have waited before they were read.",
        buckets=state.queue.buckets(),
        sum_value=state.queue.sum,
    )
