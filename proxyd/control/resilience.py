"""What ``/status`` tells of upstreams that are kept from failing whole: of one process, or of several put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

CIRCUITS = ("closed", "half-open", "open")  # by their numbers in metrics


def resilience(summaries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each upstream; counts are summed, and of circuits the most open one is told."""
    merged: dict[str, dict[str, Any]] = {}
    for summary in summaries:
        row = merged.setdefault(
            summary["upstream"],
            {
                "upstream": summary["upstream"],
                "circuit": None,
                "rejected": {},
                "retry_budget_exhausted": 0,
                "ejections": 0,
            },
        )
        if summary["circuit"] is not None:
            row["circuit"] = max(summary["circuit"], row["circuit"] or 0)
        for reason, count in summary["rejected"].items():
            row["rejected"][reason] = row["rejected"].get(reason, 0) + count
        row["retry_budget_exhausted"] += summary["exhausted"]
        row["ejections"] += summary["ejections"]
    for row in merged.values():
        row["circuit"] = None if row["circuit"] is None else CIRCUITS[row["circuit"]]
    return list(merged.values())
