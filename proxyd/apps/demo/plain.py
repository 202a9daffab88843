"""The demo backend's small answers: what it has, what it received, any status, any delay."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import web

MAX_DELAY = 600_000  # milliseconds


def number(request: web.Request, name: str, default: float, limit: float) -> float:
    """Return a query argument between 0 and ``limit``; raises HTTPBadRequest for anything else."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= limit:  # NaN fails here too
        raise web.HTTPBadRequest(text=f"{name} must be a number from 0 to {limit:g}")
    return value


async def index(request: web.Request) -> web.Response:
    """List what there is to try."""
    paths = {route.resource.canonical for route in request.app.router.routes() if route.resource}
    return web.json_response({"endpoints": sorted(paths)})


async def headers(request: web.Request) -> web.Response:
    """Tell what the backend received: the request line, and each header field in order."""
    return web.json_response(
        {
            "method": request.method,
            "target": request.raw_path,
            "peer": request.remote,
            "headers": [
                [name.decode("latin-1"), value.decode("latin-1")] for name, value in request.raw_headers
            ],
        }
    )


async def status(request: web.Request) -> web.Response:
    """Answer with the status in the path, 200 to 599."""
    code = int(request.match_info["code"])
    if code in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        return web.Response(status=code)
    return web.json_response({"status": code}, status=code)


async def slow(request: web.Request) -> web.Response:
    """Answer after ``ms`` milliseconds."""
    milliseconds = number(request, "ms", 1000, MAX_DELAY)
    await asyncio.sleep(milliseconds / 1000)
    return web.json_response({"slept_ms": milliseconds})


def add_to(app: web.Application) -> None:
    """Add these endpoints to an application."""
    app.router.add_get("/", index)
    app.router.add_route("*", "/headers", headers)
    app.router.add_route("*", "/status/{code:[2-5][0-9][0-9]}", status)
    app.router.add_route("*", "/slow", slow)
