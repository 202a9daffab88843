"""The schemas that the gateway asks backends for: how fresh they are, for metrics and /status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from proxyd.telemetry.access_line import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

MOST = 32  # schemas that are remembered


@dataclass(eq=False, slots=True)
class Freshness:
    """What became of the attempts to ask one service; ``name`` is the service's, ``failing`` the reason, if it does."""

    name: str
    digest: str = ""  # of the schema that is known
    succeeded: int = 0
    failed: int = 0
    changes: int = 0
    last_success: float = 0.0  # seconds since the epoch
    failing: str = ""


class Schemas:
    """Those that plugins of any generation keep fresh."""

    def __init__(self) -> None:
        self.kept: list[Freshness] = []
        self.remembered: dict[tuple[str, str], Any] = {}
        """What was last known, by service and path: a configuration that takes over begins with it."""

    def __repr__(self) -> str:
        return f"<Schemas {len(self.kept)}>"

    def remember(self, place: tuple[str, str], known: Any) -> None:
        """Remember a schema; of many, the oldest is forgotten."""
        self.remembered.pop(place, None)
        self.remembered[place] = known
        if len(self.remembered) > MOST:
            del self.remembered[next(iter(self.remembered))]

    def states(self) -> list[dict[str, object]]:
        """Tell of each, for /status."""
        return [
            {
                "service": one.name,
                "schema": one.digest,
                "last_success": timestamp(one.last_success) if one.last_success else None,
                "failing": one.failing or None,
            }
            for one in self.kept
        ]

    def families(self) -> Iterator[Metric]:
        """Yield the metric families; several instances that ask one service are one series."""
        fetches = CounterMetricFamily(
            "proxyd_graphql_schema_fetches", "Attempts to introspect a service.", labels=("service", "result")
        )
        known = GaugeMetricFamily(
            "proxyd_graphql_schema_known", "Whether a service's schema is known: 1 or 0.", labels=("service",)
        )
        success = GaugeMetricFamily(
            "proxyd_graphql_schema_last_success_timestamp_seconds",
            "When a service's schema was last fetched.",
            labels=("service",),
        )
        for name in sorted({one.name for one in self.kept}):
            same = [one for one in self.kept if one.name == name]
            fetches.add_metric((name, "success"), sum(one.succeeded for one in same))
            fetches.add_metric((name, "failure"), sum(one.failed for one in same))
            known.add_metric((name,), all(one.digest for one in same))
            success.add_metric((name,), min(one.last_success for one in same))
        yield from (fetches, known, success)
