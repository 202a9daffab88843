"""Old generations: how long each is kept."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from proxyd.process.retired import Retired


class Generation:
    """A snapshot as far as it is looked at."""

    def __init__(self, *, fails=False):
        self.generation = 1
        self.stopped = 0
        self._fails = fails

    async def stop(self):
        self.stopped += 1
        if self._fails:
            raise RuntimeError("cannot")


def connection(*, busy=True, upgraded=False):
    return SimpleNamespace(exchange=SimpleNamespace(upgraded=upgraded) if busy else None)


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("clients", [[], [connection(busy=False)], [connection(upgraded=True)]])
async def test_a_generation_that_nobody_needs_stops_at_once(clients):
    """Idle connections and tunnels do not keep it."""
    old = Generation()
    retired = Retired(clients, 60)
    await retired.add(old)
    assert (old.stopped, repr(retired)) == (1, "<Retired waiting=0>")


async def test_a_generation_is_kept_until_its_requests_are_over():
    """A request of the next generation on the same connection does not keep the old one."""
    client = connection()
    old = Generation()
    retired = Retired([client], 60)
    await retired.add(old)
    assert (old.stopped, repr(retired)) == (0, "<Retired waiting=1>")
    client.exchange = SimpleNamespace(upgraded=False)
    await until(lambda: old.stopped)
    assert repr(retired) == "<Retired waiting=0>"


async def test_a_request_that_becomes_a_tunnel_is_no_longer_waited_for():
    """A handshake that was under way at the reload ends the waiting when it is answered."""
    client = connection()
    old = Generation()
    await Retired([client], 60).add(old)
    client.exchange.upgraded = True
    await until(lambda: old.stopped)


async def test_the_waiting_is_bounded():
    """After the limit, a generation stops under the requests that still run."""
    old = Generation()
    await Retired([connection()], 0.01).add(old)
    await until(lambda: old.stopped)


async def test_the_end_stops_all_once():
    """``stop`` does not wait for requests, and leaves no task."""
    old, failing = Generation(), Generation(fails=True)
    retired = Retired([connection()], 60)
    await retired.add(old)
    await retired.add(failing)
    await retired.stop()
    await retired.stop()
    assert (old.stopped, failing.stopped, repr(retired)) == (1, 1, "<Retired waiting=0>")
