"""What stands beside the entities: the audit log, what undoing needs, when credentials were last used; and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import Row, case, delete, func, select, update

from proxyd.database.engine import upsert
from proxyd.database.entries import Audited, AuditQuery, Author, Change, Document
from proxyd.database.tables import AUDIT, ENTITIES, LAST_USED, REVISION, UNDO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection

_AT_A_TIME: Final = 5000  # entries, so that pruning never takes long


@dataclass(frozen=True, slots=True)
class Kept:
    """For how many seconds the audit log is kept, what undoing needs, and tombstones; who reads more seldom reads everything."""

    audit: float = 90 * 86_400.0
    undo: float = 7 * 86_400.0
    tombstones: float = 86_400.0


async def audit(connection: AsyncConnection, query: AuditQuery) -> list[Audited]:
    """Return entries of the audit log, the newest first."""
    asked = select(AUDIT).order_by(AUDIT.c.number.desc()).limit(query.size)
    wanted = {
        "collection": query.collection,
        "entity": query.id,
        "who": query.who,
        "revision": query.revision,
    }
    for column, value in wanted.items():
        if value:
            asked = asked.where(AUDIT.c[column] == value)
    if query.since:
        asked = asked.where(AUDIT.c.at >= query.since)
    if query.until:
        asked = asked.where(AUDIT.c.at < query.until)
    if query.before:
        asked = asked.where(AUDIT.c.number < query.before)
    return [_audited(row) for row in await connection.execute(asked)]


def _audited(row: Row[Any]) -> Audited:
    return Audited(
        number=row.number,
        at=row.at,
        revision=row.revision,
        author=Author(row.who, row.role, row.address, row.request),
        collection=row.collection,
        id=row.entity,
        action=row.action,
        before=_document(row.before),
        after=_document(row.after),
    )


async def undoing(connection: AsyncConnection, number: int) -> Change | None:
    """Return what would put back what an entry of the audit log has changed."""
    asked = select(AUDIT.c.collection, AUDIT.c.entity, UNDO.c.document).join(
        UNDO, UNDO.c.number == AUDIT.c.number
    )
    row = (await connection.execute(asked.where(AUDIT.c.number == number))).one_or_none()
    return None if row is None else Change(row.collection, row.entity, _document(row.document))


async def use(connection: AsyncConnection, times: Mapping[str, float]) -> None:
    """Keep when credentials were last used, the latest time of each."""
    new = upsert(connection.dialect.name)(LAST_USED)
    latest = case((new.excluded.at > LAST_USED.c.at, new.excluded.at), else_=LAST_USED.c.at)
    # In one order everywhere: two machines that write the same rows do not wait for one another in a circle.
    await connection.execute(
        new.on_conflict_do_update(index_elements=["credential"], set_={"at": latest}),
        [{"credential": name, "at": times[name]} for name in sorted(times)],
    )


async def last_used(connection: AsyncConnection) -> dict[str, float]:
    """Return when credentials were last used."""
    return {row.credential: row.at for row in await connection.execute(select(LAST_USED))}


async def prune(connection: AsyncConnection, kept: Kept, now: float) -> bool:
    """Forget what is too old ``now``, some of it at a time; tells whether there is more. The connection holds the lock."""
    more = False
    for table, seconds in ((AUDIT, kept.audit), (UNDO, min(kept.audit, kept.undo))):
        first = (await connection.execute(select(func.min(table.c.number)))).scalar_one()
        if first is not None:
            old = delete(table).where(table.c.at < now - seconds, table.c.number < first + _AT_A_TIME)
            more = (await connection.execute(old)).rowcount == _AT_A_TIME or more
    gone = ENTITIES.c.document.is_(None), ENTITIES.c.updated_at < now - kept.tombstones
    pruned = (await connection.execute(select(func.max(ENTITIES.c.revision)).where(*gone))).scalar_one()
    if pruned is not None:
        await connection.execute(delete(ENTITIES).where(*gone))
        later = case((REVISION.c.pruned > pruned, REVISION.c.pruned), else_=pruned)
        await connection.execute(update(REVISION).values(pruned=later))
    there = select(ENTITIES.c.id).where(ENTITIES.c.document.is_not(None))
    await connection.execute(delete(LAST_USED).where(LAST_USED.c.credential.not_in(there)))
    return more


def _document(text: str | None) -> Document | None:
    return None if text is None else orjson.loads(text)
