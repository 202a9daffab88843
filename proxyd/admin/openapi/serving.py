"""``/openapi.json``, ``/openapi.yaml``, and ``/docs``, the same for people."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import orjson
import yaml
from aiohttp import web

from proxyd.admin.entities.reading import READERS
from proxyd.admin.openapi.described import described
from proxyd.admin.openapi.document import openapi
from proxyd.admin.openapi.page import page
from proxyd.apps.roles import roles

# Nothing from elsewhere, nothing inline, in nobody's frame.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_OBJECT: Final = {"type": "object", "required": ["openapi", "paths"]}
_TEXT: Final = {"type": "string"}


@dataclass(frozen=True, slots=True)
class _Made:
    json: bytes
    yaml: bytes
    html: bytes


class OpenAPI:
    """Handlers of the document of ``app``; it is made once, when somebody asks for it first."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._making = asyncio.Lock()
        self._made: _Made | None = None

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/openapi.json", self._json)
        app.router.add_get("/openapi.yaml", self._yaml)
        app.router.add_get("/docs", self._docs)
        app.router.add_get("/docs/page.css", self._style)
        app.router.add_get("/docs/page.js", self._script)

    @roles(*READERS)
    @described("Return this document.", answers={200: _OBJECT})
    async def _json(self, _request: web.Request) -> web.StreamResponse:
        return _answer((await self._get()).json, "application/json")

    @roles(*READERS)
    @described("Return this document as YAML.", answers={200: _OBJECT}, media="application/yaml")
    async def _yaml(self, _request: web.Request) -> web.StreamResponse:
        return _answer((await self._get()).yaml, "application/yaml")

    @roles(*READERS)
    @described("Return this document as a page for people.", answers={200: _TEXT}, media="text/html")
    async def _docs(self, _request: web.Request) -> web.StreamResponse:
        return _answer((await self._get()).html, "text/html")

    @roles(*READERS)
    @described("Return the style of that page.", answers={200: _TEXT}, media="text/css")
    async def _style(self, _request: web.Request) -> web.StreamResponse:
        return _answer(_file("page.css"), "text/css")

    @roles(*READERS)
    @described("Return the script of that page.", answers={200: _TEXT}, media="text/javascript")
    async def _script(self, _request: web.Request) -> web.StreamResponse:
        return _answer(_file("page.js"), "text/javascript")

    async def _get(self) -> _Made:
        async with self._making:
            if self._made is None:
                self._made = await asyncio.to_thread(_make, self._app)
            return self._made


def _make(app: web.Application) -> _Made:
    document = openapi(app)
    text = yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return _Made(orjson.dumps(document), text.encode(), page(document).encode())


def _answer(body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers=_HEADERS)


def _file(name: str) -> bytes:
    return (files(__package__) / name).read_bytes()
