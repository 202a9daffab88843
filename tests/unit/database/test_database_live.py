"""Contents of a database as a machine runs them: followed, coalesced, refused, and gone."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from proxyd.clock import Clock
from proxyd.database.entries import Author, Change, Contents, DatabaseError, Entry, State
from proxyd.database.live import Live
from proxyd.errors import ConfigError, Place, Problem

FILE = '_format_version: "3.0"\nproxyd: {log_level: info}\n'
SOMEBODY = Author("somebody")


class Store:
    """One in memory; ``away`` says why it cannot be had."""

    def __init__(self):
        self.away = ""
        self.unread = ""
        self.now = Contents()
        self.woken = asyncio.Event()

    @property
    def state(self):
        return State(not self.away, 5.0, self.away, self.now.revision)

    async def contents(self):
        if self.away or self.unread:
            raise DatabaseError(self.away or self.unread)
        return self.now

    async def change(self, decide, _author):
        if self.away:
            raise DatabaseError(self.away)
        for change in decide(self.now):
            self.put(change.id, change.document)
        return self.now

    def put(self, identity, document):
        """Change it, as another machine would."""
        consumers = dict(self.now.entries.get("consumers", {}))
        consumers[identity] = Entry("consumers", identity, document, 1.0, 1.0)
        self.now = Contents(self.now.revision + 1, {"consumers": consumers})
        self.woken.set()
        self.woken = asyncio.Event()

    async def changed(self, revision):
        while self.now.revision == revision:
            await self.woken.wait()
        return self.now.revision


class Machine:
    """What runs texts: each waits for ``gate``, and ``wrong`` refuses them."""

    def __init__(self):
        self.texts = []
        self.wrong = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()

    async def apply(self, text):
        self.begun.set()
        await self.gate.wait()
        if self.wrong:
            raise ConfigError([Problem(Place("database"), "", "no")])
        self.texts.append(json.loads(text))

    def users(self):
        return [one["username"] for one in self.texts[-1].get("consumers", ())]


@pytest.fixture
async def live():
    """Give one that follows a store, with the store and the machine."""
    async with contextlib.AsyncExitStack() as ending:
        store, machine = Store(), Machine()
        one = Live(store, store.now, FILE, lambda *_: None, lambda *_: [], Clock())
        one.start(machine.apply, ending)
        yield one, store, machine


def add(name):
    return lambda _contents: [Change("consumers", name, {"username": name})]


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_the_answer_to_a_change_waits_until_it_runs(live):
    """And the text has the file's settings around the entities."""
    one, _, machine = live
    await one.change(add("ann"), SOMEBODY)
    assert machine.users() == ["ann"]
    assert machine.texts[-1]["proxyd"] == {"log_level": "info"}
    assert (one.state.revision, one.state.applied, one.state.reachable) == (1, 1, True)
    assert sum(one.state.writes.counts) == 1


async def test_many_changes_make_few_reloads(live):
    """Those that come while one is under way are applied together."""
    one, _, machine = live
    machine.gate.clear()
    writes = [asyncio.ensure_future(one.change(add(f"n{number}"), SOMEBODY)) for number in range(20)]
    await machine.begun.wait()
    machine.gate.set()
    await asyncio.gather(*writes)
    assert sorted(machine.users()) == sorted(f"n{number}" for number in range(20))
    assert len(machine.texts) <= 2


async def test_what_another_machine_changes_runs_here(live):
    """Without anybody asking."""
    one, store, machine = live
    store.put("bob", {"username": "bob"})
    await until(lambda: machine.texts)
    assert machine.users() == ["bob"]
    assert one.state.applied == 1


async def test_refused_contents_leave_what_runs_and_the_next_revision_is_tried(live):
    """The state says which revision runs, and which there is."""
    one, store, machine = live
    machine.wrong = True
    await one.change(add("ann"), SOMEBODY)
    assert (one.state.revision, one.state.applied, machine.texts) == (1, 0, [])
    machine.wrong = False
    store.put("bob", {"username": "bob"})
    await until(lambda: machine.texts)
    assert (one.state.applied, machine.users()) == (2, ["ann", "bob"])


async def test_a_database_that_is_away_is_told_of(live):
    """Changes raise why, and what was read last is still there."""
    one, store, machine = live
    await one.change(add("ann"), SOMEBODY)
    store.away = "gone"
    with pytest.raises(DatabaseError, match="gone"):
        await one.change(add("bob"), SOMEBODY)
    assert (one.state.reachable, one.state.error, one.state.since) == (False, "gone", 5.0)
    assert list(one.contents.entries["consumers"]) == ["ann"]
    assert machine.users() == ["ann"]


async def test_contents_that_cannot_be_read_are_told_of(live):
    """The database answers, and what it has is no good: the state says so until it is mended."""
    one, store, machine = live
    store.unread = "no JSON"
    store.put("ann", {"username": "ann"})
    await until(lambda: one.state.error)
    assert (one.state.error, one.state.reachable, one.state.applied) == ("no JSON", True, 0)
    store.unread = ""
    await until(lambda: one.state.applied == 1)
    assert (one.state.error, machine.users()) == ("", ["ann"])


async def test_the_file_goes_on_to_give_the_settings(live):
    """Its text is read anew with each reload of the process."""
    one, _, _ = live
    assert json.loads(one.text('_format_version: "3.0"\nproxyd: {log_level: error}\n'))["proxyd"] == {
        "log_level": "error"
    }
    assert "proxyd" not in json.loads(one.dump())


async def test_what_was_read_earlier_and_comes_later_is_not_gone_back_to(live):
    """But a database that was put back is followed, whatever its revision."""
    one, store, machine = live
    early = store.now
    await one.change(add("ann"), SOMEBODY)
    store.put("bob", {"username": "bob"})
    await until(lambda: one.state.applied == 2)
    one._take(early)
    assert one.contents.revision == 2
    store.now = Contents(1, {"consumers": {"eve": Entry("consumers", "eve", {"username": "eve"}, 1.0, 1.0)}})
    woken, store.woken = store.woken, asyncio.Event()
    woken.set()
    await until(lambda: one.state.applied == 1)
    assert machine.users() == ["eve"]


async def test_a_reload_by_hand_does_not_leave_an_older_text_running(live):
    """What was changed between its text and its end is applied after it."""
    one, store, machine = live
    text = one.text(FILE)
    store.put("bob", {"username": "bob"})
    await until(lambda: one.state.applied == 1)
    await machine.apply(text)
    one.reloaded()
    await until(lambda: len(machine.texts) == 3)
    assert machine.users() == ["bob"]
