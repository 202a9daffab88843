"""What two looks at ``/status`` and ``/metrics`` say of the time between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from proxyd.cli.codes import ABSENT, CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.cli.listener import StatusListener

REQUESTS = "proxyd_http_requests_total"
OWN_TIME = "proxyd_overhead_seconds"
CONNECTIONS = "proxyd_open_connections"
_READ = (REQUESTS, OWN_TIME + "_bucket", CONNECTIONS, "proxyd_worker_replacements_total")


class Figures:
    """Samples of a scrape, added up as asked."""

    def __init__(self, samples: list[tuple[str, Mapping[str, str], float]]) -> None:
        self._samples = samples

    def total(self, name: str, **labels: str) -> float:
        """Add up the samples of a name that have these labels."""
        return sum(
            value
            for sample, has, value in self._samples
            if sample == name and all(has.get(key) == wanted for key, wanted in labels.items())
        )

    def by(self, name: str, label: str) -> dict[str, float]:
        """Add up the samples of a name for each value of a label."""
        sums: dict[str, float] = {}
        for sample, has, value in self._samples:
            if sample == name:
                sums[has.get(label, "")] = sums.get(has.get(label, ""), 0.0) + value
        return sums


def read_metrics(listener: StatusListener) -> Figures:
    """Scrape; raises CommandError where nobody answers."""
    try:
        _, body = listener.get("/metrics")
    except OSError as error:
        raise CommandError(f"no gateway answers on {listener}: {error.strerror or error}", ABSENT) from error
    return Figures(
        [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
            if sample.name in _READ
        ]
    )


@dataclass(frozen=True, slots=True)
class Look:
    """One look: ``at`` is monotonic seconds."""

    at: float
    status: dict[str, Any]
    figures: Figures


@dataclass(frozen=True, slots=True)
class Rates:
    """Per second, and seconds, between two looks; quantiles are None where there was no request."""

    requests: float
    errors: float
    p50: float | None
    p99: float | None

    @classmethod
    def between(cls, before: Look, now: Look) -> Rates:
        """Compare; a gateway that was started anew meanwhile begins at nothing."""
        seconds = max(now.at - before.at, 1e-9)
        grown = _grown(before.figures.by(REQUESTS, "code"), now.figures.by(REQUESTS, "code"))
        buckets = _grown(
            before.figures.by(OWN_TIME + "_bucket", "le"), now.figures.by(OWN_TIME + "_bucket", "le")
        )
        errors = sum(count for code, count in grown.items() if code.startswith("5"))
        return cls(
            sum(grown.values()) / seconds, errors / seconds, quantile(buckets, 0.5), quantile(buckets, 0.99)
        )


def _grown(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    if any(now.get(key, 0.0) < value for key, value in before.items()):
        return dict(now)
    return {key: value - before.get(key, 0.0) for key, value in now.items()}


def quantile(buckets: Mapping[str, float], share: float) -> float | None:
    """Return the quantile of cumulative buckets by their upper edges, as PromQL interpolates it; None of nothing."""
    edges = sorted((float(edge), count) for edge, count in buckets.items())
    if not edges or not edges[-1][1]:
        return None
    rank = share * edges[-1][1]
    low, below = 0.0, 0.0
    for edge, count in edges:
        if count >= rank:
            if edge == float("inf"):
                return low
            return low + (edge - low) * (rank - below) / max(count - below, 1e-9)
        low, below = edge, count
    return low
