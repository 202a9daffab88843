"""A store keeps what is changed, tells others of it, and remembers who has changed it."""

from __future__ import annotations

import asyncio

import pytest
from database_case import Stores
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from proxyd.clock import Clock
from proxyd.database import records
from proxyd.database.entries import AuditQuery, Author, Change, Contents, Entry, RefusedError
from proxyd.database.records import Kept
from proxyd.database.tables import ENTITIES

ME = Author("me", "admin", "127.0.0.1", "0123456789abcdef")


class Frozen(Clock):
    """A clock that is put forward by hand."""

    def __init__(self):
        self.moment = 1_000_000.0

    def time(self):
        return self.moment


def put(*changes):
    """Return what decides on changes, whatever is there."""
    return lambda _contents: [Change(*change) for change in changes]


def documents(contents):
    return {
        (collection, name): entry.document
        for collection, entries in contents.entries.items()
        for name, entry in entries.items()
    }


async def test_an_empty_database_has_the_first_revision(stores):
    """Nothing is there, at revision 0."""
    assert await stores.open().contents() == Contents()


async def test_what_is_put_is_there(stores):
    """Whoever asks afterwards is given it, in this process and in another."""
    store, other = stores.open(clock := Frozen()), stores.open()
    document = {"username": "alice", "tags": ["a", "ü\0'%"], "custom_id": None}
    given = await store.change(put(("consumers", "1", document)), ME)
    entry = Entry("consumers", "1", document, clock.moment, clock.moment)
    assert given == Contents(1, {"consumers": {"1": entry}})
    assert await store.contents() is given
    assert await other.contents() == given


async def test_an_entity_keeps_the_time_of_its_creation(stores):
    """A document in the place of another is updated, and was created before."""
    store = stores.open(clock := Frozen())
    await store.change(put(("consumers", "1", {"username": "a"})), ME)
    clock.moment += 10
    contents = await store.change(put(("consumers", "1", {"username": "b"})), ME)
    entry = contents.entries["consumers"]["1"]
    assert (entry.created_at, entry.updated_at) == (clock.moment - 10, clock.moment)


async def test_what_was_taken_away_is_gone_everywhere(stores):
    """A reader who has seen it learns that it is gone; one who comes later has never seen it; and it may come again, as new."""
    store, reader = stores.open(clock := Frozen()), stores.open()
    await store.change(put(("consumers", "1", {"username": "a"}), ("consumers", "2", {"username": "b"})), ME)
    assert len(documents(await reader.contents())) == 2
    await store.change(put(("consumers", "1", None)), ME)
    for each in (store, reader, stores.open()):
        assert documents(await each.contents()) == {("consumers", "2"): {"username": "b"}}
    clock.moment += 10
    contents = await store.change(put(("consumers", "1", {"username": "a"})), ME)
    assert contents.entries["consumers"]["1"].created_at == clock.moment
    assert await reader.contents() == contents


async def test_a_reader_reads_only_what_is_new(stores):
    """Entries that did not change are the same objects as before."""
    store = stores.open()
    await store.change(put(("consumers", "1", {"username": "a"}), ("services", "s", {"host": "h"})), ME)
    reader = stores.open()
    before = await reader.contents()
    await store.change(put(("consumers", "2", {"username": "b"})), ME)
    after = await reader.contents()
    assert after.entries["services"] is before.entries["services"]
    assert after.entries["consumers"]["1"] is before.entries["consumers"]["1"]
    assert before.entries["consumers"].keys() == {"1"}


async def test_a_refusal_changes_nothing(stores):
    """What decide raises is raised, and the next change finds everything as it was."""
    store = stores.open()
    await store.change(put(("consumers", "1", {"username": "a"})), ME)

    def refuse(contents):
        assert contents.entries["consumers"].keys() == {"1"}
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await store.change(refuse, ME)
    assert (await store.contents()).revision == 1
    assert (await store.change(put(("consumers", "2", {})), ME)).revision == 2


@pytest.mark.parametrize("changes", [[], [("consumers", "1", {"username": "a"})], [("consumers", "9", None)]])
async def test_without_a_change_there_is_no_revision(stores, changes):
    """Nothing to do, an equal document, and taking away what is not there leave no trace."""
    store = stores.open()
    before = await store.change(put(("consumers", "1", {"username": "a"})), ME)
    assert await store.change(put(*changes), ME) == before
    assert len(await store.audit(AuditQuery())) == 1


async def test_changes_of_one_entity_follow_one_another(stores):
    """Within one change, the last document counts, and the log has each step."""
    store = stores.open()
    steps = [("consumers", "1", document) for document in ({"username": "a"}, None, {"username": "b"})]
    contents = await store.change(put(*steps), ME)
    assert (
        documents(contents)
        == documents(await stores.open().contents())
        == {("consumers", "1"): {"username": "b"}}
    )
    log = await store.audit(AuditQuery())
    assert [entry.action for entry in log] == ["create", "delete", "create"]


async def test_a_waiter_is_told_of_what_another_process_writes(stores):
    """Whoever waits for another revision is woken by a change through another connection."""
    store, other = stores.open(), stores.open()
    store.start()
    waiting = asyncio.ensure_future(store.changed(0))
    await other.change(put(("consumers", "1", {"username": "a"})), ME)
    assert await asyncio.wait_for(waiting, 10) == 1
    assert await store.changed(0) == 1


async def test_writers_lose_nothing(stores):
    """Many changes by several stores at once are all there, each with a revision of its own."""
    several = [stores.open() for _ in range(3)]
    changes = [
        store.change(put(("consumers", f"{number}-{place}", {"username": f"{number}-{place}"})), ME)
        for place, store in enumerate(several)
        for number in range(15)
    ]
    given = await asyncio.gather(*changes)
    assert sorted(contents.revision for contents in given) == list(range(1, 46))
    assert len((await stores.open().contents()).entries["consumers"]) == 45


async def test_two_cannot_take_one_name(stores):
    """What decide is given is what is there while it decides: of several who want a name, one gets it."""

    def take(name):
        def decide(contents):
            taken = {entry.document["username"] for entry in contents.entries.get("consumers", {}).values()}
            if "alice" in taken:
                raise LookupError("taken")
            return [Change("consumers", name, {"username": "alice"})]

        return decide

    several = [stores.open() for _ in range(4)]
    given = await asyncio.gather(
        *(store.change(take(str(place)), ME) for place, store in enumerate(several)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in given) == ["Contents"] + ["LookupError"] * 3
    assert len(documents(await several[0].contents())) == 1


# --- the audit log -------------------------------------------------------------------------------------------


async def test_the_log_tells_who_changed_what(stores):
    """Each entity that changed is an entry, with who, when, what was there, and what is, without secrets."""
    store = stores.open(clock := Frozen())
    await store.change(put(("keyauth_credentials", "k", {"key": "geheim", "consumer": "c"})), ME)
    await store.change(put(("keyauth_credentials", "k", None)), Author("you"))
    after, before = await store.audit(AuditQuery())
    assert (after.number, after.revision, after.at, after.author) == (2, 2, clock.moment, Author("you"))
    assert (after.collection, after.id, after.action) == ("keyauth_credentials", "k", "delete")
    assert (after.before, after.after) == ({"key": "<hidden>", "consumer": "c"}, None)
    assert (before.author, before.action, before.before) == (ME, "create", None)
    assert "geheim" not in repr((after, before))


async def test_an_author_may_be_called_anything(stores):
    """What a request says of itself is no reason for a change to fail."""
    store = stores.open()
    await store.change(put(("consumers", "1", {})), Author("ü\0x", "\udcff", "a" * 300, "\n"))
    (entry,) = await store.audit(AuditQuery())
    assert entry.author == Author("ü?x", "?", "a" * 200, "?")


async def test_the_log_is_filtered_and_paged(stores):
    """By collection, entity, who, revision, and time; the next page begins below the last number of the one before."""
    store = stores.open(clock := Frozen())
    for name in ("a", "b", "c"):
        clock.moment += 1
        await store.change(put(("consumers", name, {}), ("services", name, {})), Author(name))

    async def asked(**query):
        return [entry.number for entry in await store.audit(AuditQuery(**query))]

    assert await asked() == [6, 5, 4, 3, 2, 1]
    assert await asked(collection="services") == [6, 4, 2]
    assert await asked(collection="services", id="b") == [4]
    assert await asked(who="c") == [6, 5]
    assert await asked(revision=2) == [4, 3]
    assert await asked(revision=2, collection="services") == [4]
    assert await asked(since=clock.moment - 1, until=clock.moment) == [4, 3]
    assert await asked(size=4) == [6, 5, 4, 3]
    assert await asked(size=4, before=3) == [2, 1]


async def test_a_change_can_be_undone(stores):
    """What was there is put back with its secrets, though the log does not show them."""
    store = stores.open()
    document = {"key": "geheim", "consumer": "c"}
    await store.change(put(("keyauth_credentials", "k", document)), ME)
    await store.change(put(("keyauth_credentials", "k", {"key": "other", "consumer": "c"})), ME)
    assert await store.undoing(2) == Change("keyauth_credentials", "k", document)
    assert await store.undoing(1) == Change("keyauth_credentials", "k", None)
    assert await store.undoing(3) is None
    assert "geheim" not in repr(await store.undoing(2))


async def test_without_undo_nothing_is_kept_for_it(stores):
    """A store that was told so keeps no document as it was."""
    store = stores.open(kept=Kept(undo=0))
    await store.change(put(("consumers", "1", {"username": "a"})), ME)
    assert await store.undoing(1) is None


# --- what is kept for a time ---------------------------------------------------------------------------------


async def test_the_last_use_is_the_latest(stores):
    """Times that come late do not put it back."""
    store = stores.open()
    await store.use({"a": 5.0, "b": 7.0})
    await store.use({"a": 4.0, "b": 8.5})
    await store.use({})
    assert await store.last_used() == {"a": 5.0, "b": 8.5}


async def test_what_is_old_is_forgotten(stores):
    """Audit, undo and tombstones go when their time is over, and last uses of what is not there any more."""
    clock = Frozen()
    store, late = stores.open(clock, kept=Kept(audit=200, undo=50, tombstones=50)), stores.open()
    await store.change(put(("keyauth_credentials", "a", {}), ("keyauth_credentials", "b", {})), ME)
    assert len(documents(await late.contents())) == 2
    await store.change(put(("keyauth_credentials", "a", None)), ME)
    await store.use({"a": 1.0, "b": 2.0})
    clock.moment += 100
    await store.change(put(("consumers", "c", {})), ME)
    await store.prune()
    assert len(await store.audit(AuditQuery())) == 4
    assert await store.undoing(1) is None
    assert await store.undoing(4) is not None
    assert await store.last_used() == {"b": 2.0}
    # Who has not seen the tombstone reads everything.
    assert await late.contents() == await stores.open().contents() == await store.contents()
    clock.moment += 150
    await store.prune()
    assert [entry.number for entry in await store.audit(AuditQuery())] == [4]


async def test_much_that_is_old_is_forgotten_bit_by_bit(stores, monkeypatch):
    """No lock is held for long, however much there is."""
    monkeypatch.setattr(records, "_AT_A_TIME", 3)
    store = stores.open(clock := Frozen(), kept=Kept(audit=50))
    await store.change(put(*(("consumers", str(number), {}) for number in range(10))), ME)
    clock.moment += 100
    await store.change(put(("consumers", "new", {})), ME)
    await store.prune()
    assert [entry.number for entry in await store.audit(AuditQuery())] == [11]


async def test_a_database_that_was_put_back_is_read_anew(stores):
    """A revision that is lower than before is that of a copy from before: everything is read."""
    store = stores.open()
    await store.change(put(("consumers", "1", {"username": "a"})), ME)
    reader = stores.open()
    reader._contents = Contents(7, {"consumers": {"9": Entry("consumers", "9", {}, 0.0, 0.0)}})
    assert await reader.contents() == await store.contents()


async def test_a_document_that_is_none_is_told_of(stores):
    """Nothing is read past it, and nothing is decided without it."""
    store, other = stores.open(), stores.open()
    await store.change(put(("consumers", "1", {"username": "a"})), ME)
    async with store._engine.begin() as connection:
        await connection.execute(update(ENTITIES).values(document="{"))
    for refused in (other.contents(), other.change(put(("consumers", "2", {})), ME)):
        with pytest.raises(RefusedError, match="consumers 1 is no JSON"):
            await refused
    assert other.state.reachable


async def test_its_repr_names_the_database_and_the_revision(stores):
    """A stateful object shows its state."""
    store = stores.open()
    await store.change(put(("consumers", "1", {"username": "a"})), ME)
    assert repr(store) == f"<DatabaseStore {stores.target} there revision=1>"


# --- whatever is done at the same time -----------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from("abc"), st.sampled_from([None, "x", "y", "z"])),
    min_size=1,
    max_size=12,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_changes_at_the_same_time_are_as_if_one_after_the_other(ready_database, steps):
    """Each is decided on what those before it have left: names stay unique, and the log replayed gives the contents."""

    def step(name, username):
        def decide(contents):
            there = contents.entries.get("consumers", {})
            if username and any(
                entry.document["username"] == username and entry.id != name for entry in there.values()
            ):
                return []
            return [Change("consumers", name, username and {"username": username})]

        return decide

    async def run():
        stores = Stores(ready_database)
        several = [stores.open() for _ in range(3)]
        first = await several[0].change(
            lambda contents: [
                Change("consumers", name, None) for name in contents.entries.get("consumers", {})
            ],
            ME,
        )
        await asyncio.gather(*(several[which].change(step(*rest), ME) for which, *rest in steps))
        everywhere = [await store.contents() for store in [*several, stores.open()]]
        log = await several[0].audit(AuditQuery(size=1000))
        await stores.close()
        return first, everywhere, [entry for entry in reversed(log) if entry.revision > first.revision]

    first, everywhere, log = asyncio.run(run())
    replayed = {}
    for entry in log:
        assert entry.before == replayed.get(entry.id)
        replayed[entry.id] = entry.after
    replayed = {name: document for name, document in replayed.items() if document}
    for contents in everywhere:
        assert {
            entry.id: entry.document for entry in contents.entries.get("consumers", {}).values()
        } == replayed
        assert contents.revision == first.revision + len(log)
    names = [document["username"] for document in replayed.values()]
    assert len(names) == len(set(names))
