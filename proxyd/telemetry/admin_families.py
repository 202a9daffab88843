"""Metric families of those who administer the gateway."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

RESULTS = ("success", "failure", "throttled")


@dataclass(slots=True)
class AdminCounts:
    """What the admin listener has seen since the start: ``logins`` by result."""

    logins: Counter[str] = field(default_factory=Counter)


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
