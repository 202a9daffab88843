"""What browsers are told with every answer, and which of their pages may ask.

A page of another origin gets nothing unless ``admin_gui_url`` names it: no answer that it could read, and no write that is
done because the browser sent a cookie along, or because it runs on the machine that needs no token.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

import aiohttp_cors
from aiohttp import hdrs, web

from proxyd.apps.roles import public

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

CSRF_HEADER: Final = "X-CSRF-Token"
REQUEST_ID_HEADER: Final = "X-Kong-Admin-Request-ID"  # Kong's
REQUEST_ID: Final = web.RequestKey("proxyd.admin.request_id", str)
SAFE: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})

_PREFLIGHT_AGE: Final = 600  # seconds that a browser may remember what it was allowed
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Page(enum.Enum):
    """Which page a request comes from, as its browser tells."""

    OURS = enum.auto()
    OTHER = enum.auto()
    UNKNOWN = enum.auto()  # no browser, or one that does not say


def page_of(request: web.Request, origins: Container[str]) -> Page:
    """Return which page made a request; those of ``origins`` are as good as ours."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and origin in origins:
        return Page.OURS
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        ours = site == "same-origin" or (site == "none" and origin is None)  # none: typed by the user
        return Page.OURS if ours else Page.OTHER
    if origin is None:
        return Page.UNKNOWN
    # Not the scheme: whoever ends TLS in front of this knows it, and this does not.
    where = parts_of(origin).netloc
    return Page.OURS if where and where == request.headers.get(hdrs.HOST, "").lower() else Page.OTHER


def parts_of(url: str) -> SplitResult:
    """Return the parts of what a client has sent as an address; what is none has no parts."""
    try:
        return urlsplit(url)
    except ValueError:  # as of "http://["
        return urlsplit("")


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Have an answer stay where it belongs; what a handler has set itself is left."""
    headers = response.headers
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    # A file may be kept, if it is asked for each time whether it still is the same.
    kept = isinstance(response, web.FileResponse)
    headers.setdefault(hdrs.CACHE_CONTROL, "no-cache" if kept else "no-store")
    headers[hdrs.SERVER] = "proxyd"
    if (identity := request.get(REQUEST_ID)) is not None:
        headers[REQUEST_ID_HEADER] = identity


def allow_origins(app: web.Application, origins: Iterable[str]) -> None:
    """Have pages of these origins use every route that there is, with cookies; called when all routes are there."""
    allowed = aiohttp_cors.ResourceOptions(  # type: ignore[no-untyped-call]
        allow_credentials=True,
        expose_headers="*",
        allow_headers="*",
        allow_methods="*",
        max_age=_PREFLIGHT_AGE,
    )
    defaults = dict.fromkeys(origins, allowed)
    if not defaults:
        return
    cors = aiohttp_cors.setup(app, defaults=defaults)
    for resource in list(app.router.resources()):
        cors.add(resource)
    for route in app.router.routes():
        if route.method == hdrs.METH_OPTIONS:
            public(route)  # a browser asks that before it sends any token
