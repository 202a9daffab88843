"""Metric families of a master about its workers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client import Metric

STATES = ("starting", "ready", "draining")
REASONS = ("exit", "killed", "left", "hung", "failed")
RESULTS = ("success", "aborted")


@dataclass(slots=True)
class WorkerCounts:
    """What has become of workers since the master started: ``restarts`` by reason, ``replacements`` by result."""

    restarts: Counter[str] = field(default_factory=Counter)
    replacements: Counter[str] = field(default_factory=Counter)


def of_workers(states: Iterable[str], counts: WorkerCounts) -> Iterator[Metric]:
    """Yield them, from the state of each worker and what was counted."""
    now = Counter(states)
    workers = GaugeMetricFamily(
        "proxyd_workers", "Worker processes, by where they are in their life.", labels=("state",)
    )
    for state in STATES:
        workers.add_metric((state,), now[state])
    yield workers
    yield _counter(
        "proxyd_worker_restarts",
        "Workers that were started because another one had gone, or had not come up, by why that was.",
        "reason",
        {reason: counts.restarts[reason] for reason in REASONS},
    )
    yield _counter(
        "proxyd_worker_replacements",
        "Workers that were to be replaced by new ones.",
        "result",
        {result: counts.replacements[result] for result in RESULTS},
    )


def _counter(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=(label,))
    for value, count in values.items():
        family.add_metric((value,), count)
    return family
