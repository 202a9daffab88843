"""Metric families of logs that are shipped; none where that is not asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from proxyd.telemetry.shipping import Shipping

RESULTS = ("sent", "dropped")


def of_shipping(shipping: Shipping | None) -> Iterator[Metric]:
    """Yield them, one after the other."""
    if shipping is None:
        return
    segments = CounterMetricFamily(
        "proxyd_log_shipping_segments", "Segments of logs that left the spool.", labels=("result",)
    )
    for result in RESULTS:
        segments.add_metric((result,), shipping.segments[result])
    yield segments
    failures = CounterMetricFamily(
        "proxyd_log_shipping_failures", "Tries to send one that failed.", labels=("reason",)
    )
    for reason, count in sorted(shipping.failures.items()):
        failures.add_metric((reason,), count)
    yield failures
    yield CounterMetricFamily(
        "proxyd_log_shipping_sent_bytes", "What was sent, compressed.", value=shipping.sent_bytes
    )
    for name, text, value in (
        ("spool_segments", "Closed segments that wait.", len(shipping.state.waiting)),
        ("spool_bytes", "Size of all segments in the spool.", shipping.state.size),
        ("spool_limit_bytes", "Size beyond which the oldest are dropped.", shipping.limit),
        ("last_success_timestamp_seconds", "When one was last sent.", shipping.last_success),
    ):
        yield GaugeMetricFamily(f"proxyd_log_shipping_{name}", text, value=value)
