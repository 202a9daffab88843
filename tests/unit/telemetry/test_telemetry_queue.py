"""The queue before a collector: its bounds, its tries and its end, each with exact counts."""

from __future__ import annotations

import asyncio

import pytest

from proxyd.telemetry.queue import MOST_AT_ONCE, DeliveryError, Limits, Queue

BUSY = 5.0  # seconds in which what must happen has happened


class Collector:
    """Takes batches as told: each call uses up one of ``answers``, None for success; ``gate`` holds all up."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.batches = []
        self.calls = 0
        self.most = self.now = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.called = asyncio.Condition()
        self.closed = False

    async def send(self, batch):
        self.calls += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            async with self.called:
                self.called.notify_all()
            await self.gate.wait()
            answer = self.answers.pop(0) if self.answers else None
            if answer is not None:
                raise answer
            self.batches.append(batch)
        finally:
            self.now -= 1
        async with self.called:
            self.called.notify_all()

    async def close(self):
        self.closed = True

    async def until(self, condition):
        async with asyncio.timeout(BUSY), self.called:
            await self.called.wait_for(condition)


class Time:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self):
        self.seconds = 0.0
        self.slept = []

    def now(self):
        return self.seconds

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)


def queue(collector, time=None, **limits):
    time = time or Time()
    return Queue("http-log", "there", Limits(**limits), collector, time.now, time.sleep)


def entries(count, start=0):
    return [b"%d" % number for number in range(start, start + count)]


async def test_entries_go_one_by_one_and_in_order():
    """A batch is one entry unless more are asked for; nothing is left behind."""
    collector = Collector()
    one = queue(collector)
    for entry in entries(5):
        one.put(entry)
    assert (one.waiting, repr(one)) == (5, "<Queue there waiting=5 sent=0 dropped=0>")
    await one.close(BUSY)
    assert collector.batches == [[entry] for entry in entries(5)]
    assert (one.sent, one.dropped, one.waiting, collector.closed) == (5, 0, 0, True)


async def test_a_full_batch_does_not_wait():
    """However long it might: the delay is for batches that are not full."""
    collector = Collector()
    one = queue(collector, max_batch_size=3, max_coalescing_delay=3600)
    for entry in entries(7):
        one.put(entry)
    await collector.until(lambda: len(collector.batches) == 2)
    assert [len(batch) for batch in collector.batches] == [3, 3]
    await one.close(BUSY)  # nor does the last, when the queue is closing
    assert collector.batches == [entries(3), entries(3, 3), entries(1, 6)]


async def test_a_batch_that_is_not_full_goes_after_the_delay():
    """With what there is."""
    collector = Collector()
    one = queue(collector, max_batch_size=3, max_coalescing_delay=0.001)
    one.put(b"a")
    one.put(b"b")
    await collector.until(lambda: collector.batches)
    assert collector.batches == [[b"a", b"b"]]
    one.put(b"c")  # and the queue goes on
    await collector.until(lambda: len(collector.batches) == 2)
    await one.close(BUSY)
    assert one.sent == 3


async def test_what_is_not_taken_is_tried_again(capsys):
    """With pauses that double up to a limit, each shortened by a part of itself; told once, and once at the end."""
    failures = [DeliveryError("answered with 500") for _ in range(6)]
    collector, time = Collector(*failures), Time()
    one = queue(collector, time, initial_retry_delay=1, max_retry_delay=8)
    one.put(b"a")
    await collector.until(lambda: collector.batches)
    for pause, most in zip(time.slept, (1, 2, 4, 8, 8, 8), strict=True):
        assert most / 2 <= pause <= most
    await one.close(BUSY)
    assert (one.sent, one.dropped, collector.calls) == (1, 0, 7)
    said = capsys.readouterr().err
    assert (said.count("are not taken"), said.count("are taken again")) == (1, 1)
    assert "answered with 500" in said


async def test_a_batch_is_given_up_when_its_time_is_over():
    """It is counted, and the next one has its own time."""
    collector, time = Collector(*[DeliveryError("no")] * 4), Time()
    one = queue(
        collector, time, initial_retry_delay=10, max_retry_delay=10, max_retry_time=16, max_batch_size=2
    )
    for entry in entries(2):
        one.put(entry)
    async with asyncio.timeout(BUSY):
        while not one.dropped:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0)
    assert one.dropped == 2
    collector.answers.clear()
    one.put(b"later")
    await one.close(BUSY)
    assert (one.sent, one.dropped, collector.batches) == (1, 2, [[b"later"]])


@pytest.mark.parametrize(("limits", "error"), [({"max_retry_time": -1}, {}), ({}, {"again": False})])
async def test_no_second_try(limits, error):
    """Where there is to be none, or no use in one."""
    collector, time = Collector(DeliveryError("no", **error)), Time()
    one = queue(collector, time, **limits)
    one.put(b"a")
    one.put(b"b")
    await one.close(BUSY)
    assert (one.sent, one.dropped, time.slept, collector.batches) == (1, 1, [], [[b"b"]])


async def test_an_unexpected_failure_costs_one_batch(capsys):
    """It is told by its kind, and what waits behind it is delivered."""
    collector = Collector(UnicodeError("label too long"))
    queue = Queue("http-log", "c", Limits(), collector, Time().now)
    for entry in (b"1", b"2", b"3"):
        queue.put(entry)
    await collector.until(lambda: len(collector.batches) == 2)
    await queue.close(BUSY)
    assert (collector.batches, queue.sent, queue.dropped) == ([[b"2"], [b"3"]], 2, 1)
    assert "UnicodeError" in capsys.readouterr().err


@pytest.mark.parametrize("limits", [{"max_entries": 3}, {"max_bytes": 3}])
async def test_the_oldest_make_room(limits, capsys):
    """Beside the batch under way, so many wait; the rest is counted and told of once."""
    collector = Collector()
    collector.gate.clear()
    one = queue(collector, **limits)
    one.put(b"0")
    await collector.until(lambda: collector.calls == 1)
    for entry in entries(5, 1):
        one.put(entry)
    assert (one.waiting, one.dropped) == (4, 2)
    collector.gate.set()
    await one.close(BUSY)
    assert collector.batches == [[b"0"], [b"3"], [b"4"], [b"5"]]
    assert (one.sent, one.dropped) == (4, 2)
    assert capsys.readouterr().err.count("a log queue is full") == 1


async def test_an_entry_that_never_fits():
    """It is dropped itself, and takes no other's place."""
    collector = Collector()
    one = queue(collector, max_bytes=3)
    one.put(b"a")
    one.put(b"long")
    await one.close(BUSY)
    assert (collector.batches, one.dropped) == ([[b"a"]], 1)


@pytest.mark.parametrize(("limit", "most"), [(1, 1), (-1, MOST_AT_ONCE)])
async def test_batches_under_way(limit, most):
    """One at a time, or as many as there are, up to a number."""
    collector = Collector()
    collector.gate.clear()
    one = queue(collector, concurrency_limit=limit)
    for entry in entries(40):
        one.put(entry)
    await collector.until(lambda: collector.now == most)
    collector.gate.set()
    await one.close(BUSY)
    assert (collector.most, one.sent) == (most, 40)


async def test_closing_has_an_end(capsys):
    """A collector that hangs costs what was under way and what waits, all of it counted."""
    collector = Collector()
    collector.gate.clear()
    one = queue(collector, max_batch_size=2)
    for entry in entries(5):
        one.put(entry)
    await collector.until(lambda: collector.calls == 1)
    await one.close(0.01)
    assert (one.sent, one.dropped, one.waiting, collector.closed) == (0, 5, 0, True)
    assert "log records were not delivered" in capsys.readouterr().err
    one.put(b"late")
    assert one.dropped == 6


async def test_an_unused_queue_has_no_task():
    """What is configured and never asked for costs nothing."""
    before = asyncio.all_tasks()
    one = queue(Collector())
    assert asyncio.all_tasks() == before
    one.lost(2)
    one.reopen()
    await one.close(BUSY)
    assert one.dropped == 2


async def test_a_pause_ends_when_the_queue_closes():
    """Nobody waits a minute for a collector at the end."""
    collector = Collector(DeliveryError("no"))
    one = Queue(
        "http-log", "there", Limits(initial_retry_delay=3600, max_retry_delay=3600), collector, Time().now
    )
    one.put(b"a")
    await collector.until(lambda: collector.calls == 1)
    await one.close(BUSY)
    assert (one.sent, collector.calls) == (1, 2)
