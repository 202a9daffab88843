"""Opening the database that the settings name, in a loop or, for commands and the start, before there is one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from proxyd.clock import Clock
from proxyd.database.entries import DatabaseError
from proxyd.database.extra import require
from proxyd.database.masking import Masking
from proxyd.database.target import resolve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pydantic import BaseModel

    from proxyd.database.migrating import Status
    from proxyd.database.store import DatabaseStore
    from proxyd.database.target import Target
    from proxyd.model.settings import Settings

T = TypeVar("T")


def target_of(settings: Settings, env: Mapping[str, str]) -> Target:
    """Return the database that the settings name; raises DatabaseError where there is none, or a package is missing."""
    target = resolve(settings, env)
    require(target.kind)
    return target


def open_store(
    settings: Settings,
    env: Mapping[str, str],
    plugins: Mapping[str, type[BaseModel]],
    clock: Clock | None = None,
) -> DatabaseStore:
    """Return the store of the settings; nothing is connected yet. Raises DatabaseError where it cannot be."""
    target = target_of(settings, env)
    from proxyd.database.records import Kept  # noqa: PLC0415
    from proxyd.database.store import DatabaseStore  # noqa: PLC0415  # an extra, imported where it is asked for

    kept = Kept(settings.database_audit_retention, settings.database_undo_retention)
    return DatabaseStore(target, Masking(plugins), clock or Clock(), kept)


async def ready(target: Target) -> None:
    """See that a database is of this version of proxyd; raises DatabaseError where it is not, with the command to run.

    A file of SQLite that does not exist yet, or is empty, is made at once: nobody has anything in it.
    """
    from proxyd.database import migrating  # noqa: PLC0415

    status = await migrating.status(target)
    if status.pending and not status.current and target.kind == "sqlite":
        await migrating.migrate(target)
    elif status.pending:
        raise DatabaseError(f"database {target}: {_behind(status)}: run proxyd migrate")


def _behind(status: Status) -> str:
    if not status.current:
        return "it has no tables yet"
    count = len(status.pending)
    return f"it is {count} migration{'s' if count > 1 else ''} behind this version of proxyd"


def once(
    settings: Settings,
    env: Mapping[str, str],
    plugins: Mapping[str, type[BaseModel]],
    act: Callable[[DatabaseStore], Awaitable[T]],
) -> T:
    """Open the database, see that it is ready, do something with it, and let go of it: where no loop runs."""

    async def do() -> T:
        store = open_store(settings, env, plugins)
        try:
            await ready(store.target)
            return await act(store)
        finally:
            await store.close()

    return asyncio.run(do())
