"""Writing entities: POST, PUT, PATCH and DELETE of every collection, by itself and below others.

Where there is no database, each is refused with Kong's reason: the file is the truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from aiohttp import web

from proxyd.admin.answers import Refusal, answer
from proxyd.admin.callers.access import author_of
from proxyd.admin.entities.bodies import MULTIPART, URLENCODED, Given, read_body
from proxyd.admin.entities.book import Book
from proxyd.admin.entities.catalog import TOP, children, parents
from proxyd.admin.entities.checking import Checker
from proxyd.admin.entities.deciding import Decision, Decisions
from proxyd.admin.entities.rows import shown
from proxyd.admin.openapi.described import JSON, described
from proxyd.admin.openapi.schemas import changed, given
from proxyd.admin.openapi.schemas import shown as shown_schema
from proxyd.apps.roles import roles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from proxyd.admin.entities.book import Above
    from proxyd.admin.entities.catalog import Collection
    from proxyd.admin.source import AdminSource
    from proxyd.database.entries import Change, Contents
    from proxyd.database.live import Live

    Decide = Callable[[Book, Mapping[str, str]], Decision]

T = TypeVar("T")

WRITERS: Final = ("operator", "admin")
_MEDIA: Final = (JSON, URLENCODED, MULTIPART)
_SUMMARIES: Final = {
    "POST": "Make a {noun}.",
    "PUT": "Make a {noun}, or replace it.",
    "PATCH": "Change fields of a {noun}.",
    "DELETE": "Delete a {noun}, and what makes no sense without it.",
}


class Writing:
    """Handlers of what changes entities."""

    def __init__(self, source: AdminSource) -> None:
        self._source = source
        self._live: Live | None = source.database
        if source.database is not None:
            self._decisions = Decisions(Checker(source.database.load, source.database.frame), source.settings)

    def add_to(self, app: web.Application) -> None:
        """Add the routes of all collections."""
        for one in TOP:
            self._add(app, f"/{one.path}", one, ())
            for child, field in children(one.name):
                above = ((one.name, field),)
                self._add(app, f"/{one.path}/{{{one.name}}}/{child.nested}", child, above)
            for field, parent in parents(one.name):
                path = f"/{one.path}/{{{one.name}}}/{field}"
                for method in ("PUT", "PATCH"):
                    app.router.add_route(method, path, self._of_parent(method, one, field, parent))

    def _add(self, app: web.Application, path: str, one: Collection, above: Above) -> None:
        app.router.add_route("POST", path, self._writer("POST", one, above))
        for method in ("PUT", "PATCH", "DELETE"):
            app.router.add_route(method, f"{path}/{{{one.name}}}", self._writer(method, one, above))

    # --- handlers --------------------------------------------------------------------------------------------

    def _writer(self, method: str, one: Collection, above: Above) -> Any:
        @roles(*WRITERS)
        @self._described(method, one)
        async def write(request: web.Request) -> web.StreamResponse:
            live = self._required(one)
            body = Given({}) if method == "DELETE" else await read_body(request)
            wanted = request.match_info.get(one.name, "")

            def decide(book: Book, match: Mapping[str, str]) -> Decision:
                owners = book.owner(above, match)
                if method == "POST":
                    return self._decisions.create(book, one, body, owners)
                if method == "PUT":
                    return self._decisions.replace(book, one, wanted, body, owners)
                if method == "PATCH":
                    return self._decisions.patch(book, one, wanted, body, owners)
                return self._decisions.delete(book, one, wanted, owners)

            return await self._written(live, request, one, decide)

        return write

    def _of_parent(self, method: str, one: Collection, field: str, parent: Collection) -> Any:
        """Return what changes the service of a route, and so on; PUT makes it one where it has none."""

        @roles(*WRITERS)
        @self._described(method, parent)
        async def write(request: web.Request) -> web.StreamResponse:
            live = self._required(parent)
            body = await read_body(request)

            def decide(book: Book, match: Mapping[str, str]) -> Decision:
                entry = book.find(one, match[one.name])
                if entry is None:
                    raise Refusal.not_found()
                wanted = entry.document.get(field)
                if method == "PATCH":
                    if wanted is None:
                        raise Refusal.not_found()
                    return self._decisions.patch(book, parent, wanted, body, {})
                if wanted is not None:
                    return self._decisions.replace(book, parent, wanted, body, {})
                return self._decisions.attach(book, one, entry, field, parent, body)

            return await self._written(live, request, parent, decide)

        return write

    def _described(self, method: str, one: Collection) -> Callable[[T], T]:
        """Say what a route does here: without a database, nothing."""
        if self._live is None:
            return described(
                f"Refuse: {one.plural} are changed where there is a database.", answers={}, refusals=(405,)
            )
        summary = _SUMMARIES[method].format(noun=one.noun)
        if method == "DELETE":
            return described(summary, answers={204: None}, refusals=(400, 503))
        body = changed(one.name) if method == "PATCH" else given(one.name)
        answers = {201 if method == "POST" else 200: shown_schema(one.name)}
        return described(summary, answers=answers, body=dict.fromkeys(_MEDIA, body), refusals=(409, 503))

    def _required(self, one: Collection) -> Live:
        if self._live is None:
            raise Refusal.read_only(one.name)
        return self._live

    async def _written(
        self, live: Live, request: web.Request, one: Collection, decide: Decide
    ) -> web.StreamResponse:
        made = Decision("", [])

        def changes(contents: Contents) -> Sequence[Change]:
            nonlocal made
            made = decide(Book(contents), request.match_info)
            return made.changes

        contents = await live.change(changes, author_of(request))
        if request.method == "DELETE":
            return web.Response(status=204)
        entry = contents.entries[one.name][made.id]
        status = 201 if request.method == "POST" else 200
        return answer(shown(entry, made.told), status)
