"""A guard for aiohttp applications: ``web.Application(middlewares=[aiohttp_guard(guard)])``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from proxyd.guard.verify import Guard, Refused

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware


def aiohttp_guard(guard: Guard) -> Middleware:
    """Return a middleware that answers 403 to what the guard refuses; a signed body is read and verified first."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = {name.lower(): ", ".join(request.headers.getall(name)) for name in request.headers}
        try:
            check_body = guard.check(request.method, request.raw_path, headers)
            if check_body is not None:
                check_body(await request.read())
        except Refused as refused:
            return web.json_response({"message": f"Not through the gateway: {refused}"}, status=403)
        return await handler(request)

    return middleware
