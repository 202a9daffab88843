"""Quantiles of latencies, and what a proxy adds to them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest of the ``ordered`` values that at least ``share`` (0 to 1) of them do not exceed."""
    if not ordered:
        return math.nan
    # The small number takes back what binary fractions add: 0.999 of 1,000 values is the 999th.
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return p50, p99 and p99.9 of ``values``, in any order."""
    ordered = sorted(values)
    return {name: quantile(ordered, share) for name, share in QUANTILES.items()}
