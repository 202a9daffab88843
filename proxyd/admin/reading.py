"""Reading entities: collections, single entities, and both below others, out of the configuration that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from proxyd.admin.answers import Refusal, answer
from proxyd.admin.catalog import COLLECTIONS, TOP, children, parents
from proxyd.admin.openapi.described import described
from proxyd.admin.openapi.schemas import PAGING, listed, shown
from proxyd.admin.paging import Page, next_path
from proxyd.admin.show import flattened, show
from proxyd.apps.roles import roles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web

    from proxyd.admin.catalog import Collection
    from proxyd.admin.source import AdminSource
    from proxyd.model.entities import Stored
    from proxyd.model.load import Loaded

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
    """Handlers of GET; in DB-less mode every other method of an entity is refused with Kong's reason."""

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

    def _add(
        self, app: web.Application, path: str, one: Collection, above: tuple[tuple[str, str], ...]
    ) -> None:
        app.router.add_get(path, self._lister(one, above))
        app.router.add_route("POST", path, self._refusing(one))
        single = f"{path}/{{{one.name}}}"
        app.router.add_get(single, self._getter(one, above))
        for method in ("PUT", "PATCH", "DELETE"):
            app.router.add_route(method, single, self._refusing(one))
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

    def _lister(self, one: Collection, above: tuple[tuple[str, str], ...]) -> Any:
        @roles(*READERS)
        @described(f"List the {one.plural}.", answers={200: listed(one.name)}, query=PAGING)
        async def get(request: web.Request) -> web.StreamResponse:
            loaded = await self._source.loaded()
            page, offset = Page.of(request.query).of_entities(_below(loaded, request, one, above))
            return answer(
                {
                    "data": [self._shown(one, entity, loaded) for entity in page],
                    "next": next_path(request.path, request.query, offset),
                    **({"offset": offset} if offset else {}),
                }
            )

        return get

    def _getter(self, one: Collection, above: tuple[tuple[str, str], ...]) -> Any:
        @roles(*READERS)
        @described(f"Return one {one.noun}.", answers={200: shown(one.name)})
        async def get(request: web.Request) -> web.StreamResponse:
            loaded = await self._source.loaded()
            entity = find(_below(loaded, request, one, above), one, request.match_info[one.name])
            return answer(self._shown(one, entity, loaded))

        return get

    def _follower(self, one: Collection, field: str, parent: Collection) -> Any:
        @roles(*READERS)
        @described(f"Return the {parent.noun} of one {one.noun}.", answers={200: shown(parent.name)})
        async def get(request: web.Request) -> web.StreamResponse:
            loaded = await self._source.loaded()
            entity = find(_below(loaded, request, one, ()), one, request.match_info[one.name])
            found = getattr(loaded.configuration, parent.name).get(getattr(entity, field))
            if found is None:
                raise Refusal.not_found()
            return answer(self._shown(parent, found, loaded))

        return get

    def _refusing(self, one: Collection) -> Any:
        @roles("operator", "admin")
        @described(
            f"Refuse: {one.plural} are changed where there is a database.", answers={}, refusals=(405,)
        )
        async def refuse(_request: web.Request) -> web.StreamResponse:
            raise Refusal.read_only(one.name)

        return refuse

    @roles(*READERS)
    @described("List the tags that entities have.", answers={200: _TAGGED})
    async def _tags(self, request: web.Request) -> web.StreamResponse:
        loaded = await self._source.loaded()
        wanted = request.match_info.get("tag")
        found = [
            {"entity_name": collection, "entity_id": entity.id, "tag": tag}
            for collection, entities in flattened(loaded.configuration)
            for entity in entities.values()
            for tag in entity.tags
            if wanted in {None, tag}
        ]
        return answer({"data": found, "next": None})

    def _shown(self, one: Collection, entity: Stored, loaded: Loaded) -> dict[str, Any]:
        return show(one.name, entity, loaded.plugin_configs, self._source.config.last_success)


def find(entities: Iterable[Stored], one: Collection, wanted: str) -> Stored:
    """Return the entity with an id or a name; raises Refusal."""
    for entity in entities:
        if entity.id == wanted or (one.key and getattr(entity, one.key) == wanted):
            return entity
    raise Refusal.not_found()


def _below(
    loaded: Loaded, request: web.Request, one: Collection, above: tuple[tuple[str, str], ...]
) -> Iterable[Stored]:
    """Return the entities of a collection, of those that the path names as parents; raises Refusal."""
    configuration = loaded.configuration
    entities: Iterable[Stored] = getattr(configuration, one.name).values()
    for parent, field in above:
        collection = COLLECTIONS[parent]
        owner = find(getattr(configuration, parent).values(), collection, request.match_info[parent])
        entities = [entity for entity in entities if getattr(entity, field) == owner.id]
    return entities
