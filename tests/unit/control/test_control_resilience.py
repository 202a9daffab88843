"""Upstreams that are kept from failing whole, as several processes see them."""

from __future__ import annotations

from proxyd.control.resilience import resilience
from proxyd.telemetry.source import ProtectionState


def test_processes_are_put_together():
    """Counts are sums, and the most open circuit is the one that is told."""
    states = [
        ProtectionState("api", {("a", "success_rate"): 1, ("b", "success_rate"): 2}, 0, {"open": 1}, 4),
        ProtectionState("api", {}, 2, {"open": 2, "max_requests": 1}, 1),
        ProtectionState("shop"),
    ]
    assert resilience(state.summary() for state in states) == [
        {
            "upstream": "api",
            "circuit": "open",
            "rejected": {"open": 3, "max_requests": 1},
            "retry_budget_exhausted": 5,
            "ejections": 3,
        },
        {
            "upstream": "shop",
            "circuit": None,
            "rejected": {},
            "retry_budget_exhausted": 0,
            "ejections": 0,
        },
    ]
