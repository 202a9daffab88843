"""Metric families of those who administer the gateway."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric

RESULTS = ("success", "failure", "throttled")


@dataclass(slots=True)
class AdminCounts:
    """What the admin listener has seen since the start: ``logins`` by result, and lines of the audit log that were lost."""

    logins: Counter[str] = field(default_factory=Counter)
    dropped: Callable[[], int] = int


def of_admin(counts: AdminCounts) -> Iterator[Metric]:
    """Yield them."""
    logins = CounterMetricFamily(
        "proxyd_admin_logins",
        "Logins at the dashboard, and wrong tokens of whatever uses the Admin API.",
        labels=("result",),
    )
    for result in RESULTS:
        logins.add_metric((result,), counts.logins[result])
    yield logins
    yield CounterMetricFamily(
        "proxyd_admin_audit_dropped_lines",
        "Lines of the audit log that were never written, because their destination was slow or failed.",
        value=counts.dropped(),
    )
