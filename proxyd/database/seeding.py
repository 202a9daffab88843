"""A declarative file into a database: the first time, and whenever everything is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from proxyd.database.entries import Author, Change
from proxyd.database.seal import SealError, seal
from proxyd.database.text import TOO_LARGE
from proxyd.errors import ConfigError, Problem
from proxyd.model.documents import flatten
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from proxyd.database.entries import Contents, Store
    from proxyd.model.settings import Settings

STARTER: Final = Author("proxyd run", "admin")

log = get_logger("database")


def changes_of(
    text: str, name: str, env: Mapping[str, str], overrides: Mapping[str, Any], settings: Settings
) -> list[Change]:
    """Return what puts the entities of a text that loads into a database, sealed; raises ConfigError."""
    found, transform = flatten(text, name, env, overrides)
    changes, problems = [], []
    for one in found:
        document = one.document
        if one.collection == "basicauth_credentials" and not transform and "password" in document:
            sealed = {**document, "password": str(document["password"]).lower()}  # a digest already
        else:
            try:
                sealed = seal(one.collection, document, settings)
            except SealError as error:
                problems.append(Problem(one.place, f"{one.path}.{error.field}", str(error)))
                continue
        stored = {field: value for field, value in sealed.items() if value is not None}
        try:
            orjson.dumps(stored)
        except TypeError:
            problems.append(Problem(one.place, one.path, TOO_LARGE))
        changes.append(Change(one.collection, one.id, stored))
    if problems:
        raise ConfigError(problems)
    return changes


def replacing(contents: Contents, changes: Sequence[Change]) -> list[Change]:
    """Return the changes with which nothing else is left."""
    kept = {(change.collection, change.id) for change in changes}
    gone = [
        Change(collection, entry.id, None)
        for collection, entries in contents.entries.items()
        for entry in entries.values()
        if (collection, entry.id) not in kept
    ]
    return [*gone, *changes]


async def seeded(store: Store, make: Callable[[], Sequence[Change]], name: str) -> Contents:
    """Return what stands in a database; one that nothing was ever written to is filled first, with what ``make`` returns.

    Raises DatabaseError, and ConfigError where that cannot be.
    """
    contents = await store.contents()
    if contents.revision:
        log.notice("entities come from the database, and not from the file", revision=contents.revision)
        return contents
    changes = make()
    contents = await store.change(lambda now: [] if now.revision else changes, STARTER)
    if contents.revision:
        log.notice("database filled from the file, this once", file=name, entities=len(changes))
    return contents
