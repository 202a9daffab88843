"""Bringing the tables of a database up to this version of proxyd, and telling how far they are.

One transaction under a lock: of two machines that migrate at the same time, one does and the other finds it done; a migration
that fails leaves everything as it was.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text, update

from proxyd import __version__
from proxyd.database.engine import WRITES, make_engine
from proxyd.database.entries import DatabaseError
from proxyd.database.problems import explain, foreign
from proxyd.database.tables import REVISION, VERSIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

    from proxyd.database.target import Target

_LOCK: Final = 0x70726F787964  # the key of PostgreSQL's advisory lock: "proxyd" in ASCII
_AGAIN: Final = 0.05  # seconds between two tries for a file that is taken
_PATIENCE: Final = 300.0  # seconds for all migrations, waiting for those of another machine included


@dataclass(frozen=True, slots=True)
class Step:
    """One migration, and what it makes."""

    revision: str
    title: str


@dataclass(frozen=True, slots=True)
class Status:
    """How far a database is: ``current`` is its revision, empty for none; ``pending`` what is still to be run."""

    current: str
    done: tuple[Step, ...]
    pending: tuple[Step, ...]


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def _steps(scripts: ScriptDirectory) -> tuple[Step, ...]:
    """Return all migrations, the first one first."""
    return tuple(Step(each.revision, each.doc) for each in reversed(list(scripts.walk_revisions())))


def status_of(connection: Connection, target: Target) -> Status:
    """Tell how far a database is; raises DatabaseError where a newer proxyd has been there."""
    scripts = _scripts()
    current = MigrationContext.configure(connection, opts={"version_table": VERSIONS}).get_current_revision()
    steps = _steps(scripts)
    known = [step.revision for step in steps]
    if current is None:
        return Status("", (), steps)
    if current not in known:
        raise DatabaseError(
            f"database {target}: it is at revision {current}, and {known[-1]} is the last that proxyd {__version__} "
            f"knows: a newer proxyd ({_migrated_by(connection)}) has been there; install that one"
        )
    behind = known.index(current) + 1
    return Status(current, steps[:behind], steps[behind:])


def _migrated_by(connection: Connection) -> str:
    """Return the version that has migrated last; its table may be another one by now."""
    columns = {column["name"] for column in inspect(connection).get_columns(REVISION.name)}
    if "migrated_by" not in columns:
        return "version unknown"
    return str(connection.execute(select(REVISION.c.migrated_by)).scalar_one())


def _upgrade(connection: Connection, target: Target) -> Status:
    """Run what is pending; returns how far the database was before."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    before = status_of(connection, target)
    if before.pending:
        scripts = _scripts()

        def steps(current: Any, _context: MigrationContext) -> list[Any]:
            return scripts._upgrade_revs("head", current)  # noqa: SLF001  # as alembic.command does

        context = MigrationContext.configure(connection, opts={"version_table": VERSIONS, "fn": steps})
        with Operations.context(context):
            context.run_migrations()
        connection.execute(update(REVISION).values(migrated_by=__version__))
    return before


async def status(target: Target) -> Status:
    """Tell how far a database is; raises DatabaseError."""
    if target.kind == "sqlite" and not Path(target.path).exists():  # noqa: ASYNC240  # one look at one file
        return Status("", (), _steps(_scripts()))
    return await _run(target, status_of, writes=False)


async def migrate(target: Target) -> Status:
    """Bring a database up to date; returns how far it was before. Raises DatabaseError, with nothing changed."""
    if target.kind == "sqlite":
        _make_file(target)
    return await _run(target, _upgrade, writes=True)


async def _run(target: Target, act: Callable[[Connection, Target], Status], *, writes: bool) -> Status:
    engine = make_engine(target, patience=_PATIENCE if writes else target.timeout)
    try:
        async with asyncio.timeout(_PATIENCE), engine.connect() as connection:
            if writes and target.kind == "sqlite":
                await _have_written_ahead(connection)
            await connection.execution_options(**{WRITES: writes})
            result = await connection.run_sync(act, target)
            await connection.commit()
            return result
    except foreign(target) as error:
        raise explain(error, target) from None
    finally:
        await engine.dispose()


async def _have_written_ahead(connection: AsyncConnection) -> None:
    """Have readers and the writer not wait for one another; the file remembers it.

    Whoever finds the file taken by another one who does the same is told so at once, whatever the time for locks.
    """
    while True:
        try:
            await connection.run_sync(_write_ahead)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            await asyncio.sleep(_AGAIN)
        else:
            return


def _write_ahead(connection: Connection) -> None:
    cursor = connection.connection.cursor()  # outside of a transaction
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()


def _make_file(target: Target) -> None:
    """Make the file where there is none, for its owner alone: it holds secrets."""
    try:
        os.close(os.open(target.path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return  # one that is there is not opened: closing it would end the locks that this process has on it
    except OSError as error:
        raise DatabaseError(
            f"database {target}: the file cannot be made: {error.strerror}: its directory must exist, and be "
            "writable for the user that proxyd runs as"
        ) from None
