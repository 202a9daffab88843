"""Tables are made and changed once, completely, and never by an older proxyd."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from proxyd import __version__
from proxyd.database import migrating, opening
from proxyd.database.engine import WRITES, make_engine
from proxyd.database.entries import Author, Change, DatabaseError
from proxyd.database.tables import HEAD, METADATA, VERSIONS


@asynccontextmanager
async def connected(target):
    engine = make_engine(target)
    async with engine.connect() as connection:
        yield await connection.execution_options(**{WRITES: True})
        await connection.commit()
    await engine.dispose()


async def test_a_migration_is_told_and_done_once(empty):
    """What is pending is listed before, run, and found done afterwards."""
    before = await migrating.status(empty)
    assert (before.current, before.done, before.pending[-1].revision) == ("", (), HEAD)
    assert await migrating.migrate(empty) == before
    after = await migrating.status(empty)
    assert (after.current, after.done, after.pending) == (HEAD, before.pending, ())
    assert await migrating.migrate(empty) == after


async def test_migrations_come_to_the_tables_that_are_used(empty):
    """Alembic finds no difference between what was made and what the code names."""
    await migrating.migrate(empty)

    def compare(connection):
        return compare_metadata(
            MigrationContext.configure(connection, opts={"version_table": VERSIONS}), METADATA
        )

    async with connected(empty) as connection:
        assert await connection.run_sync(compare) == []


async def test_machines_may_migrate_at_the_same_time(empty):
    """One does it, and the others find it done."""
    came_to = await asyncio.gather(*(migrating.migrate(empty) for _ in range(4)))
    assert sorted(len(before.pending) for before in came_to) == [0, 0, 0, int(HEAD)]


async def test_what_a_newer_proxyd_has_migrated_is_refused(empty):
    """Status, migration and start tell which version has been there, and change nothing."""
    await migrating.migrate(empty)
    async with connected(empty) as connection:
        await connection.execute(text(f"UPDATE {VERSIONS} SET version_num = '9999'"))
        await connection.execute(text("UPDATE proxyd_revision SET migrated_by = '7.8.9'"))
    for refused in (migrating.status, migrating.migrate, opening.ready):
        with pytest.raises(DatabaseError, match="at revision 9999") as caught:
            await refused(empty)
        assert f"proxyd {__version__} knows: a newer proxyd (7.8.9) has been there" in str(caught.value)


async def test_a_migration_that_fails_leaves_nothing(empty, monkeypatch):
    """Tables that were made before the failure are gone."""
    monkeypatch.setattr(
        migrating, "__version__", None
    )  # the last thing that a migration writes; it may not be NULL
    with pytest.raises(DatabaseError):
        await migrating.migrate(empty)
    monkeypatch.undo()
    assert (await migrating.status(empty)).current == ""
    await migrating.migrate(empty)


async def test_a_start_makes_a_file_and_asks_for_a_server(empty):
    """A file of SQLite that does not exist is nobody's yet; tables of a server are made by command."""
    if empty.kind == "sqlite":
        await opening.ready(empty)
        assert (await migrating.status(empty)).pending == ()
    else:
        with pytest.raises(DatabaseError, match="it has no tables yet: run proxyd migrate"):
            await opening.ready(empty)
        await migrating.migrate(empty)
    await opening.ready(empty)


async def test_a_database_without_tables_says_so(empty, stores):
    """Whoever asks a store of a database that lost its tables is told what to run."""
    async with connected(empty) as connection:
        await connection.execute(text("DROP TABLE proxyd_revision"))
    store = stores.open()
    with pytest.raises(DatabaseError, match="it has not been migrated: run proxyd migrate"):
        await store.contents()
    assert store.state.error.endswith("it has not been migrated: run proxyd migrate")


async def test_what_was_migrated_meanwhile_is_not_written_to(empty, stores):
    """A proxyd that runs goes on reading; what it would write, it does not know any more."""
    store = stores.open()
    async with connected(empty) as connection:
        await connection.execute(text(f"UPDATE {VERSIONS} SET version_num = '9999'"))
    with pytest.raises(
        DatabaseError, match="it was migrated to 9999 meanwhile, by another proxyd than this one"
    ):
        await store.change(lambda _contents: [Change("consumers", "1", {})], Author("me"))
    assert store.state.reachable
    assert (await store.contents()).revision == 0
