"""Reading entities: collections, single entities, and both below others.

They come out of the configuration that runs or, where there is one, out of the database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from proxyd.admin.answers import Refusal, answer
from proxyd.admin.entities.catalog import COLLECTIONS, TOP, children, parents
from proxyd.admin.entities.paging import Page, next_path
from proxyd.admin.entities.rows import LoadedRows, StoredRows
from proxyd.admin.openapi.described import described
from proxyd.admin.openapi.schemas import PAGING, listed, shown
from proxyd.apps.roles import roles
from proxyd.model.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web

    from proxyd.admin.entities.book import Above
    from proxyd.admin.entities.catalog import Collection
    from proxyd.admin.entities.rows import Row, Rows
    from proxyd.admin.source import AdminSource
    from proxyd.model.entities import Stored

READERS = ("viewer", "operator", "admin")

_TEXT: Final = {"type": "string"}
_TAG: Final = {
    "type": "object",
    "required": ["entity_name", "entity_id", "tag"],
    "properties": {"entity_name": _TEXT, "entity_id": _TEXT, "tag": _TEXT},
}
_TAGGED: Final = {
    "type": "object",
    "required": ["data", "next"],
    "properties": {"data": {"type": "array", "items": _TAG}, "next": {"type": "null"}},
}


class Reading:
    """Handlers of GET."""

    def __init__(self, source: AdminSource) -> None:
        self._source = source

    def add_to(self, app: web.Application) -> None:
        """Add the routes of all collections."""
        for one in TOP:
            self._add(app, f"/{one.path}", one, ())
        self._add_all_targets(app)  # before a target of that name
        self._add(app, "/upstreams/{upstreams}/targets", COLLECTIONS["targets"], (("upstreams", "upstream"),))
        app.router.add_get("/tags", self._tags)
        app.router.add_get("/tags/{tag}", self._tags)

    def _add(self, app: web.Application, path: str, one: Collection, above: Above) -> None:
        app.router.add_get(path, self._lister(one, above))
        single = f"{path}/{{{one.name}}}"
        app.router.add_get(single, self._getter(one, above))
        if above:
            return
        for child, field in children(one.name):
            if child.name != "targets":
                self._add(app, f"{single}/{child.nested}", child, ((one.name, field),))
        for field, parent in parents(one.name):
            app.router.add_get(f"{single}/{field}", self._follower(one, field, parent))

    def _add_all_targets(self, app: web.Application) -> None:
        app.router.add_get(
            "/upstreams/{upstreams}/targets/all",
            self._lister(COLLECTIONS["targets"], (("upstreams", "upstream"),)),
        )

    # --- handlers --------------------------------------------------------------------------------------------

    def _lister(self, one: Collection, above: Above) -> Any:
        @roles(*READERS)
        @described(f"List the {one.plural}.", answers={200: listed(one.name)}, query=PAGING)
        async def get(request: web.Request) -> web.StreamResponse:
            rows = await self._rows()
            page, offset = Page.of(request.query).of_entities(_below(rows, request, one, above))
            return answer(
                {
                    "data": [_shown(rows, one, row) for row in page],
                    "next": next_path(request.path, request.query, offset),
                    **({"offset": offset} if offset else {}),
                }
            )

        return get

    def _getter(self, one: Collection, above: Above) -> Any:
        @roles(*READERS)
        @described(f"Return one {one.noun}.", answers={200: shown(one.name)})
        async def get(request: web.Request) -> web.StreamResponse:
            rows = await self._rows()
            wanted = request.match_info[one.name]
            if one.name == "certificates":
                wanted = _by_sni(rows, wanted)
            return answer(_shown(rows, one, _row(_below(rows, request, one, above), one, wanted)))

        return get

    def _follower(self, one: Collection, field: str, parent: Collection) -> Any:
        @roles(*READERS)
        @described(f"Return the {parent.noun} of one {one.noun}.", answers={200: shown(parent.name)})
        async def get(request: web.Request) -> web.StreamResponse:
            rows = await self._rows()
            row = _row(rows.of(one.name), one, request.match_info[one.name])
            return answer(_shown(rows, parent, _row(rows.of(parent.name), parent, row.get(field))))

        return get

    @roles(*READERS)
    @described("List the tags that entities have.", answers={200: _TAGGED})
    async def _tags(self, request: web.Request) -> web.StreamResponse:
        rows = await self._rows()
        wanted = request.match_info.get("tag")
        found = [
            {"entity_name": collection, "entity_id": row.id, "tag": tag}
            for collection in SHAPES
            for row in rows.of(collection)
            for tag in row.tags
            if wanted in {None, tag}
        ]
        return answer({"data": found, "next": None})

    async def _rows(self) -> Rows:
        database = self._source.database
        if database is not None:
            return StoredRows(database.contents)
        return LoadedRows(await self._source.loaded(), self._source.config.last_success)


def find(entities: Iterable[Stored], one: Collection, wanted: str) -> Stored:
    """Return the entity with an id or a name; raises Refusal."""
    for entity in entities:
        if entity.id == wanted.lower() or (one.key and getattr(entity, one.key) == wanted):
            return entity
    raise Refusal.not_found()


def _row(rows: Iterable[Row], one: Collection, wanted: str | None) -> Row:
    for row in rows:
        if (wanted and row.id == wanted.lower()) or (one.key and row.get(one.key) == wanted):
            return row
    raise Refusal.not_found()


def _shown(rows: Rows, one: Collection, row: Row) -> dict[str, Any]:
    """Return an entity as an answer has it: a certificate with the names that it is for, as in Kong."""
    found = row.show()
    if one.name == "certificates":
        found["snis"] = [sni.get("name") for sni in rows.of("snis") if sni.get("certificate") == row.id]
    return found


def _by_sni(rows: Rows, wanted: str) -> str:
    """Return the id of the certificate that a server name has, or what was wanted: Kong finds one by either."""
    return next((sni.get("certificate") for sni in rows.of("snis") if sni.get("name") == wanted), wanted)


def _below(rows: Rows, request: web.Request, one: Collection, above: Above) -> Iterable[Row]:
    """Return the entities of a collection, of those that the path names as parents; raises Refusal."""
    entities: Iterable[Row] = rows.of(one.name)
    for parent, field in above:
        owner = _row(rows.of(parent), COLLECTIONS[parent], request.match_info[parent])
        entities = [row for row in entities if row.get(field) == owner.id]
    return entities
