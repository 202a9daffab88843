"""What drivers raise, in words: what failed, and what would be right. No password is ever among them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from proxyd.database.entries import DatabaseError, LockedError
from proxyd.database.words import LOCKED, NOT_MIGRATED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxyd.database.target import Target

_SQLITE: Final = {
    "SQLITE_BUSY": LOCKED,
    "SQLITE_LOCKED": LOCKED,
    "SQLITE_CANTOPEN": "the file, or one beside it, cannot be opened: its directory must exist, and belong to the user that proxyd runs as",
    "SQLITE_READONLY": "the file is read-only: it and its directory must be writable for the user that proxyd runs as",
    "SQLITE_PERM": "the file may not be opened by the user that proxyd runs as",
    "SQLITE_NOTADB": "the file is no database of SQLite",
    "SQLITE_CORRUPT": "the file is damaged: restore a copy of it",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_IOERR": "the disk does not read or write",
}


def foreign(target: Target) -> tuple[type[BaseException], ...]:
    """Return what may be raised while a database is talked to."""
    usual = (SQLAlchemyError, sqlite3.Error, OSError, TimeoutError)
    if target.kind == "sqlite":
        return usual
    from proxyd.database.postgresql_problems import FOREIGN  # noqa: PLC0415  # asyncpg, for those who want it

    return (*usual, *FOREIGN)


def explain(error: BaseException, target: Target) -> DatabaseError:
    """Return what to raise in the place of a driver's error."""
    if isinstance(error, DatabaseError):
        return error
    causes = list(_causes(error))
    reason = ""
    if target.kind == "postgresql":
        from proxyd.database.postgresql_problems import reason as reason_of  # noqa: PLC0415  # asyncpg, for those who want it

        reason = reason_of(causes, target)
    for cause in causes:
        reason = reason or _known(cause, target)
    if not reason:
        # A text of an unknown error may quote what was written.
        reason = f"{type(causes[-1]).__name__}"
    if target.password:
        reason = reason.replace(target.password, "…")
    kind = LockedError if reason == LOCKED else DatabaseError
    return kind(f"database {target}: {reason}")


def _known(error: BaseException, target: Target) -> str:
    if isinstance(error, (PoolTimeoutError, TimeoutError)):
        return f"no answer within {target.timeout:g} seconds"
    if isinstance(error, sqlite3.Error):
        # Extended names begin with those: SQLITE_READONLY_DIRECTORY.
        name = getattr(error, "sqlite_errorname", "")
        words = "_".join(name.split("_")[:2])
        if words == "SQLITE_ERROR" and "no such table" in str(error):
            return NOT_MIGRATED
        return _SQLITE.get(words, "")
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it came from, the driver's own last."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = (
            (error.orig if isinstance(error, DBAPIError) else None) or error.__cause__ or error.__context__
        )
