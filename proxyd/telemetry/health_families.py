"""Metric families of health indicators; none where there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import Metric

    from proxyd.telemetry.histogram import Histogram


class HealthState(NamedTuple):
    """One indicator: whether it is up, and the seconds that looks at it have taken."""

    name: str
    up: bool
    seconds: Histogram


def of_health(states: Sequence[HealthState]) -> Iterator[Metric]:
    """Yield them, one after the other."""
    if not states:
        return
    up = GaugeMetricFamily(
        "proxyd_health_up", "Whether a health indicator is up: 1 or 0.", labels=("indicator",)
    )
    seconds = HistogramMetricFamily(
        "proxyd_health_check_seconds", "How long looks at a health indicator take.", labels=("indicator",)
    )
    for one in states:
        up.add_metric((one.name,), one.up)
        seconds.add_metric((one.name,), buckets=one.seconds.buckets(), sum_value=one.seconds.sum)
    yield from (up, seconds)
