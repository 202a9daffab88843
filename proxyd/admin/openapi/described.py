"""What the OpenAPI document says of a route, said at its handler, next to its roles.

    @roles(*READERS)
    @described("List the keys.", answers={200: KeyPage}, query=PAGING)
    async def listing(request): ...

Where there is no more to say than the first line of a docstring, that line does. A route with neither keeps the
application from starting: what is not described is not found by who reads the document.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aiohttp import hdrs, web
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

Schema = Mapping[str, Any] | type[BaseModel]  # a JSON Schema, or the class that it is made of

JSON: Final = "application/json"
ANYTHING: Final[Schema] = {"description": "JSON."}

_ATTRIBUTE: Final = "__proxyd_description__"


@dataclass(frozen=True, slots=True)
class Query:
    """A parameter of the query."""

    name: str
    text: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Description:
    """What is said of one route.

    ``answers`` has a schema by status, None where there is no body; ``body`` what is taken, by media type. ``refusals``
    are statuses beyond those that follow from the route itself: of roles, parameters, and a body. ``lines`` is the media
    type in which the same comes line by line, where somebody asks for that.
    """

    summary: str
    answers: Mapping[int, Schema | None] = field(default_factory=lambda: {200: ANYTHING})
    body: Mapping[str, Schema] = field(default_factory=dict)
    query: tuple[Query, ...] = ()
    refusals: tuple[int, ...] = ()
    media: str = JSON
    lines: str = ""


def described(
    summary: str,
    *,
    answers: Mapping[int, Schema | None] | None = None,
    body: Schema | Mapping[str, Schema] | None = None,
    query: tuple[Query, ...] = (),
    refusals: tuple[int, ...] = (),
    media: str = JSON,
    lines: str = "",
) -> Callable[[T], T]:
    """Describe a handler or a method of a view; ``body`` is JSON, or several media types with a schema each."""
    taken: Mapping[str, Schema] = {}
    if body is not None:
        by_media = isinstance(body, Mapping) and bool(body) and all("/" in key for key in body)
        taken = body if by_media else {JSON: body}  # type: ignore[assignment]
    description = Description(
        summary, answers if answers is not None else {200: ANYTHING}, taken, query, refusals, media, lines
    )

    def describe(what: T) -> T:
        setattr(what, _ATTRIBUTE, description)
        return what

    return describe


def description(route: web.AbstractRoute, method: str) -> Description | None:
    """Return what is said of a route: by ``described``, or by a docstring; files speak for themselves."""
    if isinstance(route.resource, web.StaticResource):
        return Description("Return a file.", media="*/*")
    handler: Any = route.handler
    while isinstance(handler, functools.partial):
        handler = handler.func
    if inspect.isclass(handler):
        handler = getattr(handler, method.lower(), None)
    found: Description | None = getattr(handler, _ATTRIBUTE, None)
    if found is not None:
        return found
    summary = (inspect.getdoc(handler) or "").partition("\n")[0]
    return Description(summary) if summary else None


def operations(app: web.Application) -> Iterator[tuple[str, str, web.AbstractRoute]]:
    """Yield path and method of every route; HEAD beside each GET and the preflights of browsers are left out."""
    for route in app.router.routes():
        if route.resource is None or route.method in {hdrs.METH_HEAD, hdrs.METH_OPTIONS}:
            continue
        methods = [route.method]
        if inspect.isclass(route.handler):
            methods = sorted(name for name in hdrs.METH_ALL if hasattr(route.handler, name.lower()))
        path = route.resource.canonical
        if isinstance(route.resource, web.StaticResource):
            path += "/{filename}"
        for method in methods:
            yield path, method, route


def require_descriptions(app: web.Application) -> web.Application:
    """Return the application; raises ValueError where nothing is said of a route."""
    missing = [
        f"{method} {path}" for path, method, route in operations(app) if description(route, method) is None
    ]
    if missing:
        raise ValueError(
            f"no description of {', '.join(missing)}: the handler needs a docstring, "
            "or described() of admin.openapi.described"
        )
    return app
