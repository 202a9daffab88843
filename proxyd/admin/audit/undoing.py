"""``/audit/{id}/undo``: what was changed in the database is put back as it was, by the same rules as any write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxyd.admin.answers import Refusal, answer
from proxyd.admin.audit.serving import AUDITORS
from proxyd.admin.callers.access import author_of
from proxyd.admin.entities.book import Book
from proxyd.admin.entities.catalog import COLLECTIONS
from proxyd.admin.entities.checking import Checker
from proxyd.admin.entities.deciding import Decisions
from proxyd.admin.openapi.described import Query, described
from proxyd.apps.roles import roles
from proxyd.database.entries import AuditQuery
from proxyd.telemetry.access_line import timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from proxyd.admin.source import AdminSource
    from proxyd.database.entries import Audited, Change, Contents, Store
    from proxyd.database.live import Live

MOST: Final = 10_000  # entities that are put back at once
LONGEST: Final = 18  # digits of a number

_UNDONE: Final = {
    "type": "object",
    "required": ["undone"],
    "properties": {
        "undone": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["collection", "entity"],
                "properties": {"collection": {"type": "string"}, "entity": {"type": "string"}},
            },
        }
    },
}
_SWITCH: Final = {"enum": ["0", "1"], "default": "0"}
_QUERY: Final = (
    Query("force", "1 to put it back although it has been changed since.", _SWITCH),
    Query("all", "1 for all that was changed by the same request.", _SWITCH),
)


class Undoing:
    """Handlers of what undoes a change."""

    def __init__(self, source: AdminSource) -> None:
        self._live: Live | None = source.database
        if source.database is not None:
            self._checker = Checker(source.database.load, source.database.frame)
            self._decisions = Decisions(self._checker, source.settings)

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_post("/audit/{id}/undo", self._post)

    @roles(*AUDITORS)
    @described(
        "Put back what was changed.", answers={200: _UNDONE}, query=_QUERY, refusals=(400, 404, 405, 409, 503)
    )
    async def _post(self, request: web.Request) -> web.StreamResponse:
        if self._live is None:
            raise Refusal(405, {"message": "Without a database nothing is undone: post what ran before"})
        store, number = self._live.store, request.match_info["id"]
        if not number.isascii() or not number.isdigit() or len(number) > LONGEST:
            raise Refusal(404, {"message": "Not a change of an entity in the database"})
        force = request.query.get("force") == "1"
        seen = await store.contents()
        undone = await _wanted(store, int(number), together=request.query.get("all") == "1")
        if not force:
            await _require_newest(store, undone)
        puts = [await _put_back(store, one) for one in undone]

        def decide(contents: Contents) -> Sequence[Change]:
            if not force:
                _require_same(seen, contents, puts)
            return self._changes(contents, puts)

        await self._live.change(decide, author_of(request))
        return answer({"undone": [{"collection": one.collection, "entity": one.id} for one in puts]})

    def _changes(self, contents: Contents, puts: Sequence[Change]) -> list[Change]:
        """Decide what is written, the last change first; what is put back may refer to what else is; raises Refusal."""
        changes: dict[tuple[str, str], Change] = {}
        book = Book(contents)
        for one in (each for each in puts if each.document is None):
            gone = self._decisions.delete(book, COLLECTIONS[one.collection], one.id, {}).changes
            changes |= {(each.collection, each.id): each for each in gone}
            book = book.having(gone)
        back = [one for one in puts if one.document is not None]
        book = book.having(back)
        for one in back:
            key = (one.collection, one.id)
            changes[key] = self._checker.change(book, COLLECTIONS[one.collection], one.id, one.document or {})
        return list(changes.values())


async def _wanted(store: Store, number: int, *, together: bool) -> list[Audited]:
    """Return the entry with a number, or all of its revision, the newest first; raises Refusal."""
    found = await store.audit(AuditQuery(before=number + 1, size=1))
    if not found or found[0].number != number:
        raise Refusal(404, {"message": "Not found, or not kept any more"})
    if not together:
        return found
    found = await store.audit(AuditQuery(revision=found[0].revision, size=MOST + 1))
    if len(found) > MOST:
        raise Refusal(400, {"message": f"More than {MOST:,} entities were changed: post what ran before"})
    return found


async def _put_back(store: Store, one: Audited) -> Change:
    """Return what puts an entity back; raises Refusal."""
    change = await store.undoing(one.number)
    if change is None:
        raise Refusal(404, {"message": "How it was is not kept any more"})
    return change


async def _require_newest(store: Store, undone: Sequence[Audited]) -> None:
    """Refuse where an entity has been changed since; raises Refusal."""
    for one in undone:
        (newest,) = await store.audit(AuditQuery(collection=one.collection, id=one.id, size=1))
        if newest.number != one.number:
            who = newest.author.name or "somebody"
            raise _conflict(
                one.collection, one.id, f"by {who} at {timestamp(newest.at)} (entry {newest.number})"
            )


def _require_same(seen: Contents, contents: Contents, puts: Sequence[Change]) -> None:
    """Refuse where an entity is being changed right now; raises Refusal."""
    for one in puts:
        was, now = (each.entries.get(one.collection, {}).get(one.id) for each in (seen, contents))
        if was != now:
            raise _conflict(one.collection, one.id, "just now")


def _conflict(collection: str, identity: str, since: str) -> Refusal:
    message = f"{collection} {identity} has been changed since, {since}: undo that first, or use force=1"
    return Refusal(409, {"message": message})
