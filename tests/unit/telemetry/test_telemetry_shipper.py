"""Spans on their way to a collector: batches, bounds, outages."""

from __future__ import annotations

import asyncio
import threading

import pytest

from proxyd.telemetry import events
from proxyd.telemetry.queue import DeliveryError, Limits
from proxyd.telemetry.shipper import Counts, Deliveries, Shipper

QUICK = {"max_coalescing_delay": 0.0, "initial_retry_delay": 0.001, "max_retry_delay": 0.001}


class Collector:
    """A sender whose answers a test gives: an exception, or None."""

    def __init__(self, *answers):
        self.batches = []
        self.answers = list(answers)
        self.attempts = 0
        self.called = threading.Semaphore(0)
        self.go = threading.Event()
        self.go.set()

    def send(self, batch):
        self.attempts += 1
        self.called.release()
        self.go.wait(10)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.batches.append(list(batch))

    async def attempt(self, count=1):
        """Wait until it was called so often more."""
        for _ in range(count):
            assert await asyncio.to_thread(self.called.acquire, timeout=10)


@pytest.fixture
async def ship():
    """Give what makes a shipper; numbers serve for spans."""
    shippers = []

    def make(collector, clock=lambda: 0.0, **limits):
        shipper = Shipper(collector, "collector:4318", Counts(), clock, Limits(**{**QUICK, **limits}))
        shippers.append((shipper, collector))
        return shipper

    yield make
    for shipper, collector in shippers:
        collector.go.set()
        await shipper.stop()


@pytest.fixture
def said(monkeypatch):
    """Collect what is logged, as level and event."""
    lines = []
    monkeypatch.setattr(
        events.EventLogger, "_emit", lambda self, level, event, values: lines.append((level, event, values))
    )
    return lines


async def test_nothing_runs_before_there_is_a_span(ship):
    """A gateway that records no trace has no thread for it; stopping it is no matter."""
    collector = Collector()
    shipper = ship(collector)
    before = threading.active_count()
    assert await shipper.stop() is True
    assert collector.attempts == 0
    assert threading.active_count() <= before + 1  # the loop's own, for waiting
    assert repr(shipper) == "<Shipper collector:4318 waiting=0 Counts(sent=0, dropped=0, failed=0)>"


async def test_spans_go_in_batches_in_their_order(ship):
    """A full batch goes at once, however long the delay; the rest goes when the shipper stops."""
    collector = Collector()
    shipper = ship(collector, max_batch_size=2, max_coalescing_delay=3600.0)
    shipper.offer(1)
    shipper.offer(2)
    await collector.attempt()
    shipper.offer(3)
    assert await shipper.stop() is True
    assert collector.batches == [[1, 2], [3]]
    assert shipper._counts == Counts(sent=3)


async def test_a_slow_collector_makes_nobody_wait(ship):
    """While it takes its time, spans wait up to the limit; the others are dropped and counted."""
    collector = Collector()
    shipper = ship(collector, max_entries=3, max_batch_size=1)
    collector.go.clear()
    shipper.offer(0)
    await collector.attempt()
    for number in range(1, 6):
        shipper.offer(number)
    assert shipper._counts == Counts(dropped=2)
    collector.go.set()
    assert await shipper.stop() is True
    assert collector.batches == [[0], [1], [2], [3]]
    assert shipper._counts == Counts(sent=4, dropped=2)


async def test_an_outage_is_one_line_and_its_end_another(ship, said):
    """However often it is tried, what fails is told once, with the reason; then that it is over, and what was lost."""
    collector = Collector(*[DeliveryError("refused")] * 5)
    shipper = ship(collector, max_batch_size=1)
    shipper.offer(1)
    await collector.attempt(6)
    assert await shipper.stop() is True
    assert collector.batches == [[1]]
    assert said == [
        ("warn", "spans are not taken", {"destination": "collector:4318", "reason": "refused"}),
        ("notice", "spans are taken again", {"destination": "collector:4318", "lost": 0}),
    ]


@pytest.mark.parametrize("error", [DeliveryError("no", again=False), ValueError("a fault of ours")])
async def test_what_will_never_be_taken_is_not_tried_again(ship, said, error):
    """A batch that is refused for good is lost; the next one has its chance."""
    collector = Collector(error)
    shipper = ship(collector, max_batch_size=1)
    shipper.offer(1)
    shipper.offer(2)
    await collector.attempt(2)
    assert await shipper.stop() is True
    assert collector.batches == [[2]]
    assert shipper._counts == Counts(sent=1, failed=1)
    assert said[-1] == ("notice", "spans are taken again", {"destination": "collector:4318", "lost": 1})


async def test_a_batch_is_given_up_in_time(ship):
    """Beyond max_retry_time nothing is tried: here the clock goes on by a second with each look."""
    times = iter(range(1000))
    collector = Collector(*[DeliveryError("refused")] * 3)
    shipper = ship(collector, lambda: float(next(times)), max_batch_size=1, max_retry_time=2.5)
    shipper.offer(1)
    await collector.attempt(3)
    shipper.offer(2)
    await collector.attempt()
    assert await shipper.stop() is True
    assert shipper._counts == Counts(sent=1, failed=1)


async def test_stopping_ends_the_trying(ship):
    """A stop does not wait for a collector to come back: each batch has one more attempt."""
    collector = Collector(*[DeliveryError("refused")] * 10)
    shipper = ship(collector, max_batch_size=1, initial_retry_delay=3600.0, max_retry_time=7200.0)
    shipper.offer(1)
    shipper.offer(2)
    await collector.attempt()
    assert await shipper.stop() is True
    assert collector.attempts == 2
    assert shipper._counts == Counts(failed=2)
    shipper.offer(3)
    assert shipper._counts == Counts(failed=2, dropped=1)


async def test_stopping_is_bounded(ship, said):
    """A collector that hangs is left alone; what waits is counted as lost."""
    collector = Collector()
    shipper = ship(collector, max_batch_size=1)
    collector.go.clear()
    shipper.offer(1)
    await collector.attempt()
    shipper.offer(2)
    assert await shipper.stop(timeout=0.01) is False
    assert said == [("warn", "spans were not delivered", {"destination": "collector:4318", "spans": 1})]
    assert shipper._counts.failed == 1


def test_counts_go_on_behind_a_reload():
    """The same plugin, the same counts."""
    deliveries = Deliveries()
    deliveries.of("zipkin").sent += 1
    assert deliveries.of("zipkin").sent == 1
    assert repr(deliveries) == "<Deliveries 0 {'zipkin': Counts(sent=1, dropped=0, failed=0)}>"


async def test_the_last_who_lets_go_stops_a_shipper(ship):
    """Those who configure the same one share it, and what comes between two of them is delivered."""
    collector = Collector()
    shipper = ship(collector, max_coalescing_delay=3600.0)
    deliveries = Deliveries()
    for _ in range(2):
        assert deliveries.acquire("key", lambda: shipper) is shipper
    await deliveries.release("key")
    shipper.offer(1)
    assert collector.batches == []
    await deliveries.release("key")
    assert collector.batches == [[1]]
    other = ship(Collector())
    assert deliveries.acquire("key", lambda: other) is other
    await deliveries.release("key")
