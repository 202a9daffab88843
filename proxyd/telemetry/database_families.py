"""Metric families of the database that entities are kept in; without one, there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from proxyd.telemetry.source import Followed


def of_database(database: Followed | None) -> Iterator[Metric]:
    """Yield them."""
    if database is None:
        return
    state = database.state
    yield GaugeMetricFamily(
        "proxyd_database_reachable",
        "Whether the database of entities answers: 1 or 0.",
        value=state.reachable,
    )
    yield GaugeMetricFamily(
        "proxyd_database_revision", "Newest revision of the entities that is known of.", value=state.revision
    )
    yield GaugeMetricFamily(
        "proxyd_database_applied_revision", "Revision of the entities that runs.", value=state.applied
    )
    writes = HistogramMetricFamily(
        "proxyd_database_write_seconds", "Time that changes of entities took in the database."
    )
    writes.add_metric((), state.writes.buckets(), state.writes.sum)
    yield writes
