"""Exemplars: for each bucket of a route's latency, the last request in it whose trace was recorded.

They lead from a slow bucket to a trace. Only tracing plugins leave any, and only OpenMetrics shows them.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from prometheus_client.core import Exemplar

from proxyd.telemetry.histogram import EDGES

if TYPE_CHECKING:
    from collections.abc import Iterable


class Exemplars:
    """The exemplars of one histogram, one per edge and one beyond the last."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: list[tuple[str, float, float] | None] = [None] * (len(EDGES) + 1)

    def __repr__(self) -> str:
        return f"<Exemplars {sum(kept is not None for kept in self._kept)}>"

    def note(self, seconds: float, traceparent: str, time: float) -> None:
        """Take the place of what was in this bucket; ``time`` is seconds since the epoch."""
        self._kept[bisect_left(EDGES, seconds)] = traceparent, seconds, time

    def rows(self) -> list[tuple[int, str, float, float]]:
        """Return them as plain rows, each with the number of its bucket."""
        return [(number, *kept) for number, kept in enumerate(self._kept) if kept is not None]

    def add(self, rows: Iterable[tuple[int, str, float, float]]) -> None:
        """Take over what is later than what is here."""
        for number, traceparent, seconds, time in rows:
            kept = self._kept[number]
            if kept is None or kept[2] < time:
                self._kept[number] = traceparent, seconds, time

    def beside(
        self, buckets: list[tuple[str, float]]
    ) -> list[tuple[str, float] | tuple[str, float, Exemplar]]:
        """Return the buckets, each with its exemplar where it has one."""
        return [
            bucket if kept is None else (*bucket, _exemplar(kept))
            for bucket, kept in zip(buckets, self._kept, strict=True)
        ]


def _exemplar(kept: tuple[str, float, float]) -> Exemplar:
    traceparent, seconds, time = kept
    return Exemplar({"trace_id": traceparent[3:35], "span_id": traceparent[36:52]}, seconds, time)
