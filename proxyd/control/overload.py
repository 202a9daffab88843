"""What ``/status`` tells of overload control: of one process, or of several put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def overload(summaries: Iterable[dict[str, Any] | None]) -> dict[str, Any] | None:
    """Return one row, or None where it is off; counts are summed, and of queues the longest one is told."""
    found = [summary for summary in summaries if summary is not None]
    if not found:
        return None
    shed: dict[str, dict[str, int]] = {}
    services: dict[str, dict[str, Any]] = {}
    for summary in found:
        for reason, priority, count in summary["shed"]:
            counts = shed.setdefault(reason, {})
            counts[priority] = counts.get(priority, 0) + count
        for name, limit, in_flight in summary["services"]:
            row = services.setdefault(
                name, {"service": name, "concurrency_limit": 0, "requests_in_flight": 0}
            )
            row["concurrency_limit"] += limit
            row["requests_in_flight"] += in_flight
    return {
        "shedding": any(summary["shedding"] for summary in found),
        "queue_seconds": round(max(summary["delay"] for summary in found), 6),
        "shed_requests": shed,
        "services": list(services.values()),
    }
