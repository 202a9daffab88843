"""Time that the test sets, and the events that are logged."""

from __future__ import annotations

import pytest

from proxyd.overload import episodes


class FakeClock:
    def __init__(self):
        self.monotonic = 1000.0

    def now(self):
        return self.monotonic

    worked = now

    def advance(self, seconds):
        self.monotonic += seconds


class FakeLog:
    def __init__(self):
        self.events = []

    def warning(self, event, **values):
        self.events.append({"event": event, **values})

    notice = warning


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def events(monkeypatch):
    log = FakeLog()
    monkeypatch.setattr(episodes, "log", log)
    return log.events
