"""Overload control, as several processes see it."""

from __future__ import annotations

from proxyd.control.overload import overload
from proxyd.telemetry.histogram import Histogram
from proxyd.telemetry.source import OverloadState, ServiceLoad


def state(shed, *services, delay=0.0, shedding=False):
    return OverloadState(shedding, delay, Histogram(), shed, services).summary()


def test_processes_are_put_together():
    """Counts and limits are sums, and the longest queue is the one that is told."""
    told = [
        state({("gateway", "anonymous"): 2}, ServiceLoad("orders", 20, 3), delay=0.07, shedding=True),
        None,
        state(
            {("gateway", "anonymous"): 1, ("backend", "critical"): 4},
            ServiceLoad("orders", 30, 1),
            ServiceLoad("users", 1000, 0),
            delay=0.001,
        ),
    ]
    assert overload(told) == {
        "shedding": True,
        "queue_seconds": 0.07,
        "shed_requests": {"gateway": {"anonymous": 3}, "backend": {"critical": 4}},
        "services": [
            {"service": "orders", "concurrency_limit": 50, "requests_in_flight": 4},
            {"service": "users", "concurrency_limit": 1000, "requests_in_flight": 0},
        ],
    }


def test_off():
    """Where no process has it, there is nothing to tell."""
    assert overload([None, None]) is None
