"""Reading the audit log: what the database has written down, and what is in memory, as one list with pages."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Final

from proxyd.admin.answers import Refusal
from proxyd.admin.audit.record import Record

if TYPE_CHECKING:
    from proxyd.admin.source import AdminSource
    from proxyd.database.entries import Audited, AuditQuery

_MARK: Final = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a page begins: below these numbers, of entries in memory and of those in the database; 0 for the newest."""

    memory: int = 0
    stored: int = 0

    @classmethod
    def read(cls, text: str) -> Mark:
        """Read what the page before has told; raises Refusal."""
        if not text:
            return cls()
        found = _MARK.fullmatch(text)
        if found is None:
            raise Refusal.schema("offset", "must be one that a page has given")
        return cls(int(found[1]), int(found[2]))

    def text(self) -> str:
        """Write it for the next page."""
        return f"{self.memory}-{self.stored}"


class Trail:
    """All that was done."""

    def __init__(self, source: AdminSource) -> None:
        self._source = source

    async def page(self, query: AuditQuery, mark: Mark) -> tuple[list[Record], Mark | None]:
        """Return entries, the newest first, and where those behind them begin, or None; raises DatabaseError."""
        more = query.size + 1
        kept = self._source.auditor.find(replace(query, before=mark.memory, size=more))
        stored = await self._stored(replace(query, before=mark.stored, size=more))
        found = list(islice(merge(kept, stored, key=lambda one: -one.at), more))
        page = found[: query.size]
        if len(found) <= query.size:
            return page, None
        numbers: dict[bool, int] = {True: mark.stored, False: mark.memory}
        for one in page:
            numbers[one.revision is not None] = one.number
        return page, Mark(numbers[False], numbers[True])

    async def _stored(self, query: AuditQuery) -> list[Record]:
        if self._source.database is None:
            return []
        return [record_of(one) for one in await self._source.database.store.audit(query)]


def record_of(audited: Audited) -> Record:
    """Return what the database has written down as an entry of the log."""
    return Record(
        audited.number,
        str(audited.number),
        audited.at,
        audited.author,
        audited.action,
        audited.collection,
        audited.id,
        audited.before,
        audited.after,
        audited.revision,
    )
