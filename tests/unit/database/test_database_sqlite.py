"""A file that several processes of one machine share."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import sys
from pathlib import Path

import pytest
from database_case import Stores, target_of

from proxyd.database import migrating, opening
from proxyd.database.entries import Author, Change, DatabaseError, LockedError
from proxyd.model.settings import Settings

ME = Author("me")
WRITER = """
import asyncio, sys
from proxyd.clock import Clock
from proxyd.database.entries import Author, Change
from proxyd.database.store import DatabaseStore
from proxyd.database.target import resolve
from proxyd.model.settings import Settings

async def main(url, name, count):
    store = DatabaseStore(resolve(Settings(database=url), {}), lambda _collection, document: document, Clock())
    for number in range(count):
        change = Change("consumers", f"{name}{number}", {"username": f"{name}{number}"})
        await store.change(lambda _contents, change=change: [change], Author(name))
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.fixture
async def url(tmp_path):
    url = f"sqlite:///{tmp_path}/proxyd.db"
    await migrating.migrate(target_of(url))
    return url


@pytest.fixture
async def store(url):
    stores = Stores(target_of(url))
    yield stores.open()
    await stores.close()


def path_of(url):
    return Path(url.removeprefix("sqlite:///"))


def change(name):
    return lambda _contents: [Change("consumers", name, {"username": name})]


async def test_the_file_is_its_owners(url):
    """It holds secrets: nobody else may read it."""
    assert stat.S_IMODE(path_of(url).stat().st_mode) == 0o600


async def test_the_file_may_be_called_anything(tmp_path):
    """What means something in a URL means nothing in the path behind it."""
    target = target_of(f"sqlite:///{tmp_path}/a%20b%3F%23%25c&mode=ro.db")
    await migrating.migrate(target)
    assert [path.name for path in tmp_path.glob("*.db")] == ["a b?#%c&mode=ro.db"]
    stores = Stores(target)
    assert (await stores.open().change(change("a"), ME)).revision == 1
    await stores.close()


async def test_two_processes_lose_nothing(url, store):
    """What two other processes and this one write at the same time is all there, and this one is told of it."""
    store.start()
    writers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, url, name, "20")
        for name in ("a", "b")
    ]
    for number in range(20):
        await store.change(change(f"c{number}"), ME)
    assert [await writer.wait() for writer in writers] == [0, 0]
    revision = 0
    async with asyncio.timeout(10):
        while revision < 60:
            revision = await store.changed(revision)
    contents = await store.contents()
    assert (contents.revision, len(contents.entries["consumers"])) == (60, 60)


async def test_a_lock_that_is_not_let_go_is_told(url):
    """A change waits for as long as it may, and says why it failed; afterwards the next one goes through."""
    stores = Stores(target_of(url, database_timeout="2s"))
    store = stores.open()
    with sqlite3.connect(path_of(url), isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LockedError, match="others hold its lock for longer"):
            await store.change(change("a"), ME)
        assert store.state.reachable
        other.execute("ROLLBACK")
    assert (await store.change(change("a"), ME)).revision == 1
    other.close()
    await stores.close()


async def test_a_change_that_is_cancelled_is_undone(url, store):
    """Whoever waits for a lock may be cancelled; nothing is changed, and nothing is held."""
    with sqlite3.connect(path_of(url), isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(store.change(change("a"), ME))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        other.execute("ROLLBACK")
    other.close()
    assert (await store.change(change("b"), ME)).entries["consumers"].keys() == {"b"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(b"x" * 4096), "the file is no database of SQLite"),
        (
            lambda path: path.unlink(),
            "the file is not to be had: No such file or directory",
        ),
        (lambda path: path.write_bytes(path.read_bytes()[:100] + b"x" * 4000), "the file is damaged"),
    ],
)
async def test_what_is_wrong_with_the_file_is_told(tmp_path, spoil, message):
    """No SQLite, no file, a damaged one: the reason, the file, and what would be right."""
    target = target_of(f"sqlite:///{tmp_path}/p.db")
    await migrating.migrate(target)
    spoil(tmp_path / "p.db")
    stores = Stores(target)
    with pytest.raises(DatabaseError, match=message) as caught:
        await stores.open().contents()
    assert str(caught.value).startswith(f"database sqlite:///{tmp_path}/p.db: ")
    await stores.close()


async def test_a_directory_that_does_not_exist_is_told(tmp_path):
    """A migration makes the file, and not the directory."""
    with pytest.raises(DatabaseError, match="No such file or directory: its directory must exist"):
        await migrating.migrate(target_of(f"sqlite:///{tmp_path}/none/p.db"))


async def test_a_directory_that_is_read_only_is_told(tmp_path):
    """SQLite writes beside the file, too; the command says so and ends with 1."""
    tmp_path.chmod(0o500)
    # Root may write everywhere, unless that is taken from it.
    bound = ["setpriv", "--bounding-set=-dac_override"] if os.getuid() == 0 else []
    done = await asyncio.create_subprocess_exec(
        *bound,
        *(sys.executable, "-m", "proxyd", "migrate"),
        env={"PATH": os.environ["PATH"], "PROXYD_DATABASE": f"sqlite:///{tmp_path}/p.db"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await done.communicate()
    tmp_path.chmod(0o700)
    assert "the file cannot be made: Permission denied: its directory must exist" in told.decode()
    assert done.returncode == 1


def test_a_command_has_it_without_a_loop(tmp_path):
    """What starts before there is a loop reads and writes by a loop of its own."""
    settings = Settings(database=f"sqlite:///{tmp_path}/p.db")
    written = opening.once(settings, {}, {}, lambda store: store.change(change("a"), ME))
    assert opening.once(settings, {}, {}, lambda store: store.contents()) == written
    assert written.revision == 1
