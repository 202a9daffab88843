"""Engines of SQLAlchemy: how connections to a database are made, and how transactions begin."""

from __future__ import annotations

import errno
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from proxyd.database.entries import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from sqlalchemy import Connection

    from proxyd.database.target import Target

WRITES: Final = "proxyd_writes"  # the option of a connection whose transactions may write
FOR_A_LOCK: Final = 0.8  # of the time that there is: then the database itself can say what was waited for
_SQLITE_POOL: Final = 3  # connections, each of which has a thread


def make_engine(target: Target, patience: float = 0.0) -> AsyncEngine:
    """Return an engine; nothing is connected yet. One statement takes so many seconds at most, by default the target's."""
    patience = patience or target.timeout
    if target.kind == "sqlite":
        return _sqlite(target, patience)
    from proxyd.database.postgresql import make_engine as connected  # noqa: PLC0415  # asyncpg, for those who want it

    return connected(target, patience)


def _sqlite(target: Target, patience: float) -> AsyncEngine:
    # mode=rw makes no file: only a migration does.
    file = "file:" + quote(str(Path(target.path).absolute()))
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=file, query={"mode": "rw", "uri": "true"}),
        connect_args={
            "isolation_level": None,  # the driver begins no transactions: _begin does
            "timeout": FOR_A_LOCK * patience,
        },
        pool_size=_SQLITE_POOL,
        max_overflow=0,
        pool_timeout=patience,
        hide_parameters=True,  # they are entities, and an error would show them
    )
    event.listen(engine.sync_engine, "do_connect", partial(_look, target))
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _look(target: Target, *_arguments: Any) -> None:
    """Tell why the file is not to be had, before a thread is made for it.

    It is not opened: closing it would end the locks that this process has on it.
    """
    number = (
        0 if os.access(target.path, os.R_OK) else errno.EACCES if Path(target.path).exists() else errno.ENOENT
    )
    if number:
        raise DatabaseError(f"database {target}: the file is not to be had: {os.strerror(number)}")


def _begin(connection: Connection) -> None:
    """Begin: what may write waits for the lock at once, so that what it reads first is still so when it writes."""
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def upsert(dialect: str) -> Callable[..., Any]:
    """Return the INSERT of a dialect that knows ON CONFLICT."""
    module: ModuleType
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite as module  # noqa: PLC0415  # one of both is enough
    else:
        from sqlalchemy.dialects import postgresql as module  # noqa: PLC0415
    insert: Callable[..., Any] = module.insert
    return insert
