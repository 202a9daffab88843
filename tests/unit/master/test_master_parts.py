"""Small parts of a master: who covers whom, who waits for whom, how many there are, how they are called."""

from __future__ import annotations

import asyncio
import os

import pytest

from proxyd.master.calm import Calm
from proxyd.master.child import command
from proxyd.master.count import count_of
from proxyd.master.orphans import share
from proxyd.store.counters import Window
from proxyd.store.shared import SharedCounters


@pytest.mark.parametrize(
    ("serving", "orphans", "plan"),
    [
        ({0: [], 1: []}, [], {0: [], 1: []}),
        ({0: [], 2: []}, [1], {0: [], 2: [1]}),
        ({0: [1], 2: []}, [1], {0: [1], 2: []}),
        ({0: [1], 2: []}, [1, 3], {0: [1], 2: [3]}),
        ({0: [1], 1: []}, [], {0: [], 1: []}),
        ({3: []}, [0, 1, 2], {3: [0, 1, 2]}),
        ({}, [0, 1], {}),
    ],
    ids=["nothing", "next", "stays", "spread", "back", "all", "nobody"],
)
def test_every_orphan_has_one_keeper(serving, orphans, plan):
    """Who covers a slot goes on, others go to who covers the fewest, and what has a worker is given back."""
    assert share(serving, orphans) == plan


async def test_starts_and_changes_exclude_each_other():
    """Two workers may start at once; a change waits for both, and the next start for the change."""
    calm, order = Calm(), []

    async def start(name, until):
        async with calm.starting():
            order.append(f"{name} starts")
            await until.wait()
            order.append(f"{name} is up")

    async def change():
        async with calm.changing():
            order.append("change")
            await asyncio.sleep(0)
            order.append("changed")

    up = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(start("a", up))
        group.create_task(start("b", up))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        group.create_task(change())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        group.create_task(start("c", up))
        await asyncio.sleep(0)
        assert repr(calm) == "<Calm changing starting=2>"
        up.set()
    assert order[:2] == ["a starts", "b starts"]
    assert sorted(order[2:4]) == ["a is up", "b is up"]
    assert order[4:] == ["change", "changed", "c starts", "c is up"]
    assert repr(calm) == "<Calm steady starting=0>"


async def test_a_change_that_is_given_up_holds_nobody_up():
    """Cancelled while it waits, it lets starts through."""
    calm, up = Calm(), asyncio.Event()

    async def start():
        async with calm.starting():
            await up.wait()

    async def change():
        async with calm.changing():
            pass

    first = asyncio.ensure_future(start())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting = asyncio.ensure_future(change())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    second = asyncio.ensure_future(start())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert repr(calm) == "<Calm steady starting=2>"
    up.set()
    await asyncio.gather(first, second)


@pytest.mark.parametrize(
    ("workers", "quota", "count"),
    [(3, "100000 100000", 3), (0, "max 100000", 0), ("auto", "max 100000", 4), ("auto", "150000 100000", 2)],
)
def test_auto_is_one_per_core_that_may_be_used(tmp_path, workers, quota, count):
    """A container's limit counts too, rounded up."""
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert count_of(workers, {0, 1, 2, 3}, file) == count


def test_auto_without_a_quota_is_the_cores(tmp_path):
    """Where there is no such file."""
    assert count_of("auto", {0, 5}, tmp_path / "none") == 2


def test_a_worker_says_which_one_it_is():
    """Its slot stands in the list of processes."""
    assert command(2, 7)[-6:] == ["proxyd", "worker", "--slot", "2", "--channel", "7"]


def test_counters_in_memory_without_a_name_exclude_one_another():
    """Two that have opened the same descriptor count together, and each holds locks of its own."""
    descriptor = os.memfd_create("counters")
    first, second = SharedCounters(descriptor, blocks=1), SharedCounters(descriptor, blocks=1)
    window = Window(period=0, limit=3, start=0, end=60, previous=-60, sliding=False)
    assert [one.take(b"k", [window], 1.0)[0] for one in (first, second, first, second)] == [
        True,
        True,
        True,
        False,
    ]
    first.close()
    second.close()
    os.close(descriptor)
