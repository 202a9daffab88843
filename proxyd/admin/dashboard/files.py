"""The dashboard's files, out of the package: read once, told apart by their content, and open to everybody.

There is no data in them. What they show comes from the Admin API, which asks who calls.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import hdrs, web

from proxyd.admin.openapi.described import described
from proxyd.apps.roles import public

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from aiohttp.typedefs import Handler, Middleware

PREFIX: Final = "/dashboard/static/"
INDEX: Final = "index.html"
_TEXT: Final = {"type": "string"}

_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
# Nothing but these files runs, and nothing but this listener is asked: not even by what an entity's name says.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-cache",  # kept, and asked about: a new version is there with the next visit
}


class File(NamedTuple):
    """One file: what it holds, its type, and the mark that changes with it."""

    body: bytes
    content_type: str
    etag: str


class Files:
    """Every file of the dashboard, by its path."""

    def __init__(self) -> None:
        self._files = dict(_read(files(__package__) / "static"))

    def __repr__(self) -> str:
        return f"<Files {len(self._files)}>"

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/dashboard", self._index)
        app.router.add_get(PREFIX + "{path:.+}", self._file)

    @public
    @described("Return the dashboard's page.", answers={200: _TEXT}, media="text/html")
    async def _index(self, request: web.Request) -> web.StreamResponse:
        return self.answer(request, INDEX)

    @public
    @described("Return one of the dashboard's files.", answers={200: _TEXT}, media="text/javascript")
    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        if path not in self._files:
            raise web.HTTPNotFound
        return self.answer(request, path)

    def answer(self, request: web.Request, path: str) -> web.Response:
        """Return a file, or that the client has it already."""
        body, content_type, etag = self._files[path]
        headers = {**_HEADERS, hdrs.VARY: hdrs.ACCEPT}
        known = request.if_none_match
        if known is not None and any(one.value in {etag, "*"} for one in known):
            response = web.Response(status=304, headers=headers)
        else:
            response = web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)
        response.etag = etag
        return response


def front_page(found: Files) -> Middleware:
    """Return the middleware that gives browsers the dashboard at ``/``, where everybody else finds Kong's document."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/" and request.method in {"GET", "HEAD"} and is_browser(request):
            return found.answer(request, INDEX)
        response = await handler(request)
        if request.path == "/":
            response.headers[hdrs.VARY] = hdrs.ACCEPT
        return response

    return middleware


def is_browser(request: web.Request) -> bool:
    """Tell whether a request is for a page: browsers name HTML when they open one, clients of the API do not."""
    accept = request.headers.get(hdrs.ACCEPT, "")
    return "text/html" in accept and "application/json" not in accept


def _read(directory: Traversable, below: str = "") -> Iterator[tuple[str, File]]:
    for entry in directory.iterdir():
        if entry.is_dir():
            yield from _read(entry, f"{below}{entry.name}/")
        elif content_type := _TYPES.get(f".{entry.name.rpartition('.')[2]}"):
            body = entry.read_bytes()
            yield f"{below}{entry.name}", File(body, content_type, hashlib.sha256(body).hexdigest()[:24])
