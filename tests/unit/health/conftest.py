"""Indicators out of what a file would say, set up to be looked at."""

from __future__ import annotations

import gc

import pytest

from proxyd.clock import Clock
from proxyd.health.look import Around
from proxyd.health.monitor import Monitor
from proxyd.health.registry import make_look
from proxyd.model.indicators import Indicator


class Turned(Clock):
    """A clock that tests turn."""

    def __init__(self):
        self.at = 1000.0
        self.now = lambda: self.at
        self.time = lambda: 1_700_000_000.0 + self.at


class FakeProcesses:
    def __init__(self):
        self.held = {"master": 50, "worker 0": 100}
        self.late = {"worker 0": 0.01, "worker 1": 0.02}

    def resident(self):
        return self.held

    def lags(self):
        return self.late


@pytest.fixture
def clock():
    return Turned()


@pytest.fixture
def processes():
    return FakeProcesses()


@pytest.fixture
async def monitor(clock, processes):
    """Make the monitor of an indicator of a kind."""
    made = []

    def make(kind, config, **values):
        one = Indicator.model_validate({"name": "one", kind: config, **values})
        look = make_look(one, Around(one.timeout, processes, values.pop("authorities", None)))
        made.append(Monitor(one, look, clock))
        return made[-1]

    yield make
    for one in made:
        await one.close()
    gc.collect()  # what a client has left unclosed is told here, and not in another test


@pytest.fixture
def seen(monitor):
    """Look once, and return what is told without the times."""

    async def look(kind, config, **values):
        one = monitor(kind, config, **values)
        await one.look()
        detail = one.detail()
        assert detail.pop("seconds") >= 0
        assert detail.pop("checked_at").startswith("2023-")
        return detail

    return look
