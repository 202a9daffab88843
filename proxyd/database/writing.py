"""A change as rows: entities, the audit log, and what undoing needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import func, insert, select, update

from proxyd.database.engine import upsert
from proxyd.database.entries import Action, Change, Contents, Document, Entry
from proxyd.database.tables import AUDIT, CHANNEL, ENTITIES, REVISION, UNDO

AT_ONCE: Final = 1000  # rows
_LONGEST: Final = 200  # characters of what the audit log tells of an author

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from proxyd.database.entries import Author

    Mask = Callable[[str, Document], Document]


@dataclass(slots=True)
class Rows:
    """What one change writes."""

    entities: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    audit: list[dict[str, Any]] = field(default_factory=list)
    undo: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What all rows of one change have in common; ``audited`` is the number of the last entry of the log before it."""

    revision: int
    at: float
    author: Author
    audited: int


def merged(before: Contents, revision: int, entries: Iterable[tuple[str, str, Entry | None]]) -> Contents:
    """Return contents with some entries put in or, for None, taken out; what is untouched is shared."""
    collections = dict(before.entries)
    copied: dict[str, dict[str, Entry]] = {}
    for collection, name, entry in entries:
        inner = copied.get(collection)
        if inner is None:
            inner = copied[collection] = dict(collections.get(collection, {}))
        if entry is None:
            inner.pop(name, None)
        else:
            inner[name] = entry
    collections.update(copied)
    return Contents(revision, {collection: inner for collection, inner in collections.items() if inner})


def effective(before: Contents, changes: Sequence[Change]) -> list[tuple[Change, Entry | None]]:
    """Return the changes that change anything, each with the entry that was there."""
    now: dict[tuple[str, str], Document | None] = {}
    found = []
    for change in changes:
        key = change.collection, change.id
        entry = before.entries.get(change.collection, {}).get(change.id)
        there = now.get(key, entry.document if entry else None)
        if there != change.document:
            was = None if there is None else Entry(*key, there, entry.created_at if entry else 0.0, 0.0)
            found.append((change, was))
            now[key] = change.document
    return found


def rows_of(
    changes: Sequence[tuple[Change, Entry | None]], stamp: Stamp, mask: Mask
) -> tuple[Rows, list[tuple[str, str, Entry | None]]]:
    """Return the rows of a change, and its entries as they are from then on."""
    rows = Rows()
    entries: list[tuple[str, str, Entry | None]] = []
    for number, (change, was) in enumerate(changes, stamp.audited + 1):
        before, after = was.document if was else None, change.document
        created = (was.created_at if was else 0.0) or stamp.at
        text = None if after is None else _text(after)
        rows.entities[change.collection, change.id] = {
            "collection": change.collection,
            "id": change.id,
            "document": text,
            "created_at": created,
            "updated_at": stamp.at,
            "revision": stamp.revision,
        }
        action: Action = "create" if before is None else "delete" if after is None else "update"
        rows.audit.append(
            {
                "number": number,
                "at": stamp.at,
                "revision": stamp.revision,
                "who": _plain(stamp.author.name),
                "role": _plain(stamp.author.role),
                "address": _plain(stamp.author.address),
                "request": _plain(stamp.author.request_id),
                "collection": change.collection,
                "entity": change.id,
                "action": action,
                "before": None if before is None else _text(mask(change.collection, before)),
                "after": None if after is None else _text(mask(change.collection, after)),
            }
        )
        rows.undo.append(
            {"number": number, "at": stamp.at, "document": None if before is None else _text(before)}
        )
        entry = (
            None
            if text is None
            else Entry(change.collection, change.id, orjson.loads(text), created, stamp.at)
        )
        entries.append((change.collection, change.id, entry))
    return rows, entries


async def write(connection: AsyncConnection, rows: Rows, stamp: Stamp, *, undo: bool) -> None:
    """Write it all, in the transaction of a connection that holds the lock; without ``undo``, nothing that undoing needs."""
    new = upsert(connection.dialect.name)(ENTITIES)
    names = ("document", "created_at", "updated_at", "revision")
    statement = new.on_conflict_do_update(
        index_elements=["collection", "id"], set_={name: new.excluded[name] for name in names}
    )
    pairs = [(statement, list(rows.entities.values())), (insert(AUDIT), rows.audit)]
    if undo:
        pairs.append((insert(UNDO), rows.undo))
    for each, parameters in pairs:
        for first in range(0, len(parameters), AT_ONCE):  # each of which has the time of a statement
            await connection.execute(each, parameters[first : first + AT_ONCE])
    await connection.execute(
        update(REVISION).values(revision=stamp.revision, audited=stamp.audited + len(rows.audit))
    )
    if connection.dialect.name == "postgresql":  # it is sent when the transaction is committed
        await connection.execute(select(func.pg_notify(CHANNEL, str(stamp.revision))))


def _plain(text: str) -> str:
    """Return what a request has said of itself as any database takes it: no NUL, and no half of a character."""
    return "".join([each if each.isprintable() else "?" for each in text[:_LONGEST]])


def _text(document: Document) -> str:
    return orjson.dumps(document).decode()
