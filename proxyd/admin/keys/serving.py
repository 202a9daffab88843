"""``/keys`` and ``/consumers/{consumer}/keys``: API keys listed, made, rotated and revoked.

A key in clear is in the one answer to the request that made it. Kong's paths for the same credentials are those of every
collection (``/key-auths``, ``/consumers/{consumer}/key-auth``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from proxyd.admin.answers import Refusal, answer
from proxyd.admin.callers.access import author_of
from proxyd.admin.entities.book import Book
from proxyd.admin.entities.checking import Checker
from proxyd.admin.entities.paging import Page, next_path
from proxyd.admin.entities.reading import READERS, find
from proxyd.admin.entities.writing import WRITERS
from proxyd.admin.keys.decisions import CONSUMERS, KEYS, KeyDecisions, all_told
from proxyd.admin.keys.inputs import FILTERS, KEY, MADE, PAGE, NewKey, OwnKey, Rotation, read
from proxyd.admin.openapi.described import described
from proxyd.admin.openapi.schemas import PAGING
from proxyd.apps.roles import roles
from proxyd.database.entries import DatabaseError
from proxyd.model import key_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from proxyd.admin.keys.decisions import Made
    from proxyd.admin.source import AdminSource
    from proxyd.clock import Clock
    from proxyd.database.entries import Change, Contents
    from proxyd.database.live import Live

_ABOVE: Final = "/consumers/{consumers}/keys"


@dataclass(frozen=True, slots=True)
class _Key:
    """One key of a list."""

    id: str
    tags: tuple[str, ...]
    told: dict[str, Any]


class Keys:
    """Handlers of keys."""

    def __init__(self, source: AdminSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        if source.database is not None:
            checker = Checker(source.database.load, source.database.frame)
            self._decisions = KeyDecisions(checker, source.settings, clock)

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/keys", self._list)
        app.router.add_post("/keys", self._create)
        app.router.add_get("/keys/{key}", self._get)
        app.router.add_delete("/keys/{key}", self._revoke)
        app.router.add_post("/keys/{key}/rotate", self._rotate)
        app.router.add_get(_ABOVE, self._list_own)
        app.router.add_post(_ABOVE, self._create_own)

    # --- reading ---------------------------------------------------------------------------------------------

    @roles(*READERS)
    @described("List the API keys.", answers={200: PAGE}, query=(*PAGING, *FILTERS))
    async def _list(self, request: web.Request) -> web.StreamResponse:
        return await self._page(request, request.query.get("consumer"))

    @roles(*READERS)
    @described("List the API keys of a consumer.", answers={200: PAGE}, query=(*PAGING, *FILTERS[1:]))
    async def _list_own(self, request: web.Request) -> web.StreamResponse:
        return await self._page(request, await self._consumer(request.match_info[CONSUMERS.name]))

    async def _page(self, request: web.Request, consumer: str | None) -> web.StreamResponse:
        chosen = [
            _Key(told["id"], tuple(told["tags"] or ()), told)
            for told in await self._told()
            if _is_asked_for(told, request.query, consumer)
        ]
        page, offset = Page.of(request.query).of_entities(chosen)
        document = {
            "data": [one.told for one in page],
            "next": next_path(request.path, request.query, offset),
        }
        return answer({**document, **({"offset": offset} if offset else {})})

    @roles(*READERS)
    @described("Tell of an API key, by its id or its credential's.", answers={200: KEY})
    async def _get(self, request: web.Request) -> web.StreamResponse:
        wanted = request.match_info["key"]
        for told in await self._told():
            if key_list.is_meant(told, wanted):
                return answer(told)
        raise Refusal.not_found()

    async def _told(self) -> Iterator[dict[str, Any]]:
        """Iterate over all keys, of the database or of the configuration that runs."""
        now, live = self._clock.time(), self._source.database
        try:
            used = await self._source.uses.all()
        except DatabaseError:  # the keys themselves are known
            used = {}
        if live is not None:
            return all_told(Book(live.contents), now, used)
        configuration = (await self._source.loaded()).configuration
        consumers = {each: one.model_dump() for each, one in configuration.consumers.items()}
        return (
            key_list.described(
                one.id, one.model_dump(), consumers.get(one.consumer), now, last_used=used.get(one.id)
            )
            for one in configuration.keyauth_credentials.values()
        )

    async def _consumer(self, wanted: str) -> str:
        """Return the id of a consumer that a path names; raises Refusal."""
        live = self._source.database
        if live is not None:
            entry = Book(live.contents).find(CONSUMERS, wanted)
            if entry is None:
                raise Refusal.not_found()
            return entry.id
        loaded = await self._source.loaded()
        return find(loaded.configuration.consumers.values(), CONSUMERS, wanted).id

    # --- writing ---------------------------------------------------------------------------------------------

    @roles(*WRITERS)
    @described(
        "Make an API key, which is shown this once.", answers={201: MADE}, body=NewKey, refusals=(405, 503)
    )
    async def _create(self, request: web.Request) -> web.StreamResponse:
        live = self._required()
        wanted = await read(request, NewKey)
        terms = wanted.terms(wanted.consumer, self._clock.time())
        return await self._made(live, request, lambda book: self._decisions.create(book, terms))

    @roles(*WRITERS)
    @described(
        "Make an API key for a consumer, which is shown this once.",
        answers={201: MADE},
        body=OwnKey,
        refusals=(405, 503),
    )
    async def _create_own(self, request: web.Request) -> web.StreamResponse:
        live = self._required()
        wanted = await read(request, OwnKey)
        consumer = await self._consumer(request.match_info[CONSUMERS.name])
        terms = wanted.terms(consumer, self._clock.time())
        return await self._made(live, request, lambda book: self._decisions.create(book, terms))

    @roles(*WRITERS)
    @described(
        "Make an API key in the place of another one, which goes on for a while.",
        answers={201: MADE},
        body=Rotation,
        refusals=(405, 503),
    )
    async def _rotate(self, request: web.Request) -> web.StreamResponse:
        live = self._required()
        wanted = await read(request, Rotation)
        end, overlap = wanted.end(self._clock.time()), wanted.seconds()
        key = request.match_info["key"]
        return await self._made(live, request, lambda book: self._decisions.rotate(book, key, overlap, end))

    @roles(*WRITERS)
    @described("Revoke an API key, at once.", answers={204: None}, refusals=(405, 503))
    async def _revoke(self, request: web.Request) -> web.StreamResponse:
        live, key = self._required(), request.match_info["key"]
        await self._changed(live, request, lambda book: self._decisions.revoke(book, key))
        return web.Response(status=204)

    def _required(self) -> Live:
        if self._source.database is None:
            raise Refusal.read_only(KEYS.name)
        return self._source.database

    async def _made(
        self, live: Live, request: web.Request, decide: Callable[[Book], Made]
    ) -> web.StreamResponse:
        made = await self._changed(live, request, decide)
        document = {"key": made.key.text if made.key is not None else None, **made.told}
        if made.replaces is not None:
            document["replaces"] = made.replaces
        return answer(document, 201)

    async def _changed(self, live: Live, request: web.Request, decide: Callable[[Book], Made]) -> Made:
        found: list[Made] = []

        def changes(contents: Contents) -> Sequence[Change]:
            found[:] = [decide(Book(contents))]
            return found[0].changes

        await live.change(changes, author_of(request))
        return found[0]


def _is_asked_for(told: Mapping[str, Any], query: Mapping[str, str], consumer: str | None) -> bool:
    """Whether a key is among those that a query and a consumer, by id or name, ask for."""
    whose = told["consumer"]
    return (
        (consumer is None or consumer in (whose["id"], whose["username"]))
        and query.get("scope", "") in ("", *told["scopes"])
        and query.get("state", "") in ("", told["state"])
        and query.get("name", "").lower() in f"{told['name'] or ''} {told['key_id'] or ''}".lower()
    )
