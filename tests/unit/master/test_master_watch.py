"""Workers that hang, and workers that grow."""

from __future__ import annotations

import asyncio

import pytest

from proxyd.master import watch as module
from proxyd.master.channel import ChannelError
from proxyd.master.watch import YOUNG, Watch

FOREVER = 1_000_000


class Fake:
    """A worker; one that ``hangs`` does not answer so many times, or until it is killed."""

    def __init__(self, slot, *, hangs=0, begun=0.0):
        self.slot = slot
        self.pid = 1000 + slot
        self.begun = begun
        self.leaving = asyncio.Event()
        self.hung = self.hung_up = False
        self.state = "ready"
        self.pings = 0
        self.killed = asyncio.Event()
        self._hangs = hangs

    @property
    def serving(self):
        return self

    def alive(self):
        return not self.hung_up

    async def ask(self, _what, *, within):
        self.pings += 1
        if self._hangs:
            self._hangs -= 1
            await asyncio.sleep(within)
            raise ChannelError("no answer")

    async def kill(self):
        self.leaving.set()
        self.hung_up = True
        self.killed.set()


class Crew:
    def __init__(self, *children):
        self.slots = self.children = children
        self.replaced = []
        self.done = asyncio.Event()

    async def replace(self, slots):
        self.replaced += slots
        self.done.set()


class Clock:
    def __init__(self, now):
        self.now = lambda: now


@pytest.fixture
async def watch(monkeypatch):
    """Give what starts to look after workers."""
    running = []
    monkeypatch.setattr(module, "ONCE_MORE", 0.01)

    def start(crew, limit=0, now=0.0, **options):
        running.append(Watch(crew, limit, Clock(now), interval=0.001, **options))
        running[-1].start()
        return running[-1]

    yield start
    for one in running:
        await one.stop()


async def test_a_worker_that_hangs_is_ended(watch):
    """The others, which answer, are asked again and again."""
    good, bad = Fake(0), Fake(1, hangs=FOREVER)
    watch(Crew(good, bad), hang=0.01)
    async with asyncio.timeout(5):
        await bad.killed.wait()
        while good.pings < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert (bad.hung, bad.pings, good.killed.is_set()) == (True, 2, False)


async def test_one_that_answers_when_it_is_asked_once_more_is_left(watch):
    """It was the master that stood still, stopped or frozen: by its clock, time was over before it could listen."""
    one = Fake(0, hangs=1)
    watch(Crew(one), hang=0.01)
    async with asyncio.timeout(5):
        while one.pings < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert not one.killed.is_set()


async def test_a_worker_that_hangs_while_it_drains_is_ended(watch):
    """It may have no limit to that, and nobody else would."""
    one, young = Fake(0, hangs=FOREVER), Fake(1, hangs=FOREVER)
    one.state, young.state = "draining", "starting"
    one.leaving.set()
    watch(Crew(one, young), hang=0.01)
    async with asyncio.timeout(5):
        await one.killed.wait()
    assert young.pings == 0  # its start has a limit of its own


async def test_a_worker_that_is_too_large_is_replaced_and_a_young_one_is_not(watch):
    """Who has only just been started would not be any smaller the next time."""
    small, large, young = Fake(0), Fake(1), Fake(2, begun=50.0)
    crew = Crew(small, large, young)
    watch(crew, limit=100, now=50.0 + YOUNG - 1, weigh={1000: 100, 1001: 101, 1002: 500}.get)
    async with asyncio.timeout(5):
        await crew.done.wait()
    assert set(crew.replaced) == {large}


async def test_without_a_limit_nobody_is_weighed(watch):
    """A worker may be as large as it is."""
    one = Fake(0)
    crew = Crew(one)
    watch(crew, now=1000.0, weigh=lambda _pid: pytest.fail("weighed"))
    async with asyncio.timeout(5):
        while one.pings < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert crew.replaced == []
