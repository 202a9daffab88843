"""When keys were last used: gathered, written in batches, and kept for the next one while the database is away."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from proxyd.database import uses as module
from proxyd.database.entries import DatabaseError
from proxyd.database.uses import Uses


class Keeper:
    def __init__(self):
        self.kept = {}
        self.writes = 0
        self.away = False

    async def use(self, times):
        if self.away:
            raise DatabaseError("away")
        self.writes += 1
        self.kept |= times

    async def last_used(self):
        return dict(self.kept)


@pytest.fixture
async def running():
    """Give what starts one, and stop it in the end."""
    async with AsyncExitStack() as ending:

        def start(keeper=None, take=dict):
            one = Uses(keeper)
            one.start(ending, take)
            return one

        yield start


async def test_many_uses_are_one_write(running):
    """Of this process and of workers, the latest of each credential."""
    keeper, own = Keeper(), {"c": 3.0}
    one = running(keeper, lambda: own)
    one.hear({"a": 1.0, "b": 2.0})
    one.hear({"a": 5.0, "b": 1.0})
    await one.write()
    await one.write()
    assert (keeper.kept, keeper.writes) == ({"a": 5.0, "b": 2.0, "c": 3.0}, 2)


async def test_what_could_not_be_written_is_written_later(running):
    """Nothing is lost while the database is away, and lists tell of it already."""
    keeper = Keeper()
    one = running(keeper)
    keeper.away = True
    one.hear({"a": 1.0})
    await one.write()
    one.hear({"b": 2.0})
    await one.write()
    assert await one.all() == {"a": 1.0, "b": 2.0}
    assert keeper.kept == {}
    keeper.away = False
    await one.write()
    assert (keeper.kept, keeper.writes) == ({"a": 1.0, "b": 2.0}, 1)


async def test_the_end_writes_what_is_left():
    """And so does the end of a process that has just begun."""
    keeper = Keeper()
    one = Uses(keeper)
    await one.stop()
    async with AsyncExitStack() as ending:
        one.start(ending)
        one.hear({"a": 1.0})
    assert keeper.kept == {"a": 1.0}


async def test_without_a_database_they_are_known_since_the_start(running, monkeypatch):
    """For so many credentials as there is room for."""
    monkeypatch.setattr(module, "MOST", 1)
    one = running()
    one.hear({"a": 1.0, "b": 2.0, "c": 3.0})
    one.hear({"a": 4.0})
    assert await one.all() == {"a": 4.0, "b": 2.0}
