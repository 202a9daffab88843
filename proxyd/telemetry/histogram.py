"""Latency histograms as plain lists of counts: what an exchange adds to when it is over.

Counted is by the edges of every scale that anybody is shown, so that each of them is exact and none costs a request
anything.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import Final

# Upper edges in seconds, inclusive. 0.02 and 0.04 are the edges of the promise that the gateway's own part
# stays under 20-40 ms, so that the share of requests within it can be read off exactly.
EDGES: Final[tuple[float, ...]] = (
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
# Kong's, in milliseconds: of its own part, and of the upstream's and the whole
# (kong/plugins/prometheus/exporter.lua of Kong 3.9).
KONG_EDGES: Final[tuple[int, ...]] = (
    1,
    2,
    5,
    7,
    10,
    15,
    20,
    30,
    50,
    75,
    100,
    200,
    500,
    750,
    1000,
    3000,
    6000,
)
KONG_UPSTREAM_EDGES: Final[tuple[int, ...]] = (
    25,
    50,
    80,
    100,
    250,
    400,
    700,
    1000,
    2000,
    5000,
    10000,
    30000,
    60000,
)

# What is counted by, in seconds.
FINE: Final = tuple(sorted({*EDGES, *(edge / 1000 for edge in (*KONG_EDGES, *KONG_UPSTREAM_EDGES))}))


class Scale:
    """Some of the FINE edges, written in a unit of which ``per_second`` are a second."""

    __slots__ = ("ends", "labels", "per_second")

    def __init__(self, edges: tuple[float, ...], per_second: float = 1.0) -> None:
        self.per_second = per_second
        self.labels = (*(f"{edge:g}" for edge in edges), "+Inf")
        self.ends = (*(FINE.index(edge / per_second) for edge in edges), len(FINE))

    def __repr__(self) -> str:
        return f"<Scale {' '.join(self.labels)}>"


SECONDS: Final = Scale(EDGES)
KONG_OWN: Final = Scale(KONG_EDGES, 1000.0)
KONG_UPSTREAM: Final = Scale(KONG_UPSTREAM_EDGES, 1000.0)


class Histogram:
    """Counts per bucket, and the sum of what was observed in seconds.

    ``counts`` has one place per FINE edge and one for what is beyond the last; they are not cumulative.
    """

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(FINE) + 1)
        self.sum = 0.0

    def __repr__(self) -> str:
        return f"<Histogram count={sum(self.counts)} sum={self.sum:.6f}>"

    def observe(self, seconds: float) -> None:
        """Count one value."""
        self.counts[bisect_left(FINE, seconds)] += 1
        self.sum += seconds

    def buckets(self, scale: Scale = SECONDS) -> list[tuple[str, float]]:
        """Return ``(le, cumulative count)`` pairs as Prometheus wants them, ``+Inf`` last."""
        totals = list(accumulate(self.counts))
        return [(label, float(totals[end])) for label, end in zip(scale.labels, scale.ends, strict=True)]
