"""Latency histograms as plain lists of counts: what an exchange adds to when it is over."""

from __future__ import annotations

from bisect import bisect_left

# Upper edges in seconds, inclusive. 0.02 and 0.04 are the edges of the promise that the gateway's own part
# stays under 20-40 ms, so that the share of requests within it can be read off exactly.
EDGES = (
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.015,
    0.02,
    0.025,
    0.03,
    0.04,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
_LABELS = (*(f"{edge:g}" for edge in EDGES), "+Inf")


class Histogram:
    """Counts per bucket, and the sum of what was observed in seconds.

    ``counts`` has one place per edge and one for what is beyond the last; they are not cumulative.
    """

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(EDGES) + 1)
        self.sum = 0.0

    def __repr__(self) -> str:
        return f"<Histogram count={sum(self.counts)} sum={self.sum:.6f}>"

    def observe(self, seconds: float) -> None:
        """Count one value."""
        self.counts[bisect_left(EDGES, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return ``(le, cumulative count)`` pairs as Prometheus wants them, ``+Inf`` last."""
        total = 0
        pairs: list[tuple[str, float]] = []
        for label, count in zip(_LABELS, self.counts, strict=True):
            total += count
            pairs.append((label, total))
        return pairs
